"""Make the page of a results folder: a static site that opens from disk, made from whatever is there."""

import argparse
from pathlib import Path

from closerlook.core.scripts import run


def main() -> None:
    """A results folder in, a folder with index.html out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder with grid.json, e.g. results/mini")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to write, e.g. results/mini/report; replaced if it exists"
    )
    arguments = parser.parse_args()

    from closerlook.report.page.build import build

    build(arguments.results, arguments.out)


if __name__ == "__main__":
    run(main)
