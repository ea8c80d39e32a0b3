"""Find the instances that contain a phrase, exactly and case-sensitive, in the instruction or the response.

Phrases are literal text, not regular expressions; spaces and newlines count. The empty phrase is found nowhere.
"""

import argparse
from pathlib import Path

from closerlook.core.scripts import run


def main() -> None:
    """Write the instances that contain each phrase."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path, required=True, metavar="DIR", help="folder written by build_index.py")
    parser.add_argument(
        "--phrases", type=Path, required=True, metavar="FILE", help='JSON Lines: {"phrase": "some text"} per line'
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSON Lines to write: phrase, count, ids of the instances",
    )
    arguments = parser.parse_args()

    from closerlook.trace.search import search

    search(arguments.index, arguments.phrases, arguments.out)


if __name__ == "__main__":
    run(main)
