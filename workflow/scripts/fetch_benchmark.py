"""Fetch the data of a task of lm-evaluation-harness, so that it can be scored without a network.

The task is a JSON file: {"harness": name of a task, a group or a tag}, maybe with shots, limit, metric and subject.
"""

import argparse
from pathlib import Path

from pydantic import ValidationError

from closerlook.config.benchmarks import HarnessTask
from closerlook.config.problems import refuse_invalid
from closerlook.core.files import read_text
from closerlook.core.scripts import run


def main() -> None:
    """A task in, a folder of its datasets out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--task", type=Path, required=True, help='JSON file: e.g. {"harness": "hellaswag", "limit": 500}'
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write; whole afterwards, or absent")
    arguments = parser.parse_args()
    try:
        task = HarnessTask.model_validate_json(read_text(arguments.task, "task"))
    except ValidationError as error:
        refuse_invalid(arguments.task, error)

    from closerlook.benchmarks.harness import fetch

    fetch(task, arguments.out)


if __name__ == "__main__":
    run(main)
