"""Index an instruction-tuning dataset for exact search, whole-word search and BM25."""

import argparse
from pathlib import Path

from closerlook.core.scripts import run


def main() -> None:
    """Write the index of a dataset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--dataset",
        type=Path,
        required=True,
        metavar="FILE",
        help="id, instruction, response: parquet written by prepare_dataset.py or subset_dataset.py, or JSON Lines (.jsonl)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    arguments = parser.parse_args()

    from closerlook.trace.index import Index, read_instances

    index = Index.build(read_instances(arguments.dataset), arguments.out)
    print(f"{len(index.sizes):,} instances of {int(index.sizes.sum(dtype='int64')):,} words indexed")


if __name__ == "__main__":
    run(main)
