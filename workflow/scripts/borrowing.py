"""Count how often shifted words and marked spans occur in datasets, and how often they do by chance."""

import argparse
from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.core.scripts import run

DATASET = ("INDEX", "EMBEDDINGS")


def main() -> None:
    """Write BORROWING: counts per response, n-gram length and chance level."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("responses", "shift"):
        text = f"{name}.parquet of the cell on the evalset"
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=text)
    parser.add_argument("--evalset", type=Path, required=True, metavar="FILE", help="parquet with the instructions")
    parser.add_argument(
        "--spans",
        type=Path,
        nargs="*",
        default=[],
        metavar="FILE",
        help="spans/<marker>.parquet files; the file name is the marker's name",
    )
    parser.add_argument(
        "--search",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME INDEX", "EMBEDDINGS"),
        help="a dataset@size to search: name, folder of its index, optionally folder of its embeddings; repeatable",
    )
    parser.add_argument(
        "--unrelated",
        type=Path,
        nargs="+",
        metavar=DATASET,
        help="unrelated dataset: its index, optionally its embeddings",
    )
    parser.add_argument(
        "--base-responses", type=Path, metavar="FILE", help="responses.parquet of the untuned base model"
    )
    parser.add_argument(
        "--neighbors",
        type=int,
        default=50,
        metavar="N",
        help="number of instances that count as similar (default: 50)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the chance levels (default: 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="parquet file to write")
    arguments = parser.parse_args()
    if any(len(values) not in (2, 3) for values in arguments.search) or len(arguments.unrelated or [1]) > 2:
        raise CloserlookError(
            "--search: expected a name and one or two folders; --unrelated: expected one or two folders"
        )
    if arguments.neighbors < 1:
        raise CloserlookError(f"--neighbors: found {arguments.neighbors}, expected at least 1")

    from closerlook.core import schemas
    from closerlook.core.files import write_parquet
    from closerlook.spans.inputs import read_instructions
    from closerlook.trace.borrowing import BorrowingInputs, count_borrowing
    from closerlook.trace.indexed_dataset import IndexedDataset
    from closerlook.trace.passages import Passages, read_spans, word_classes

    passages = Passages.read(arguments.responses)
    inputs = BorrowingInputs(
        passages,
        word_classes(passages, arguments.shift),
        read_instructions(arguments.evalset, passages.ids),
        {path.stem: read_spans(path, passages) for path in arguments.spans},
        Passages.read(arguments.base_responses).select(passages.ids) if arguments.base_responses else None,
    )
    searched = [IndexedDataset.open(name, *map(Path, folders)) for name, *folders in arguments.search]
    unrelated = IndexedDataset.open("unrelated", *arguments.unrelated) if arguments.unrelated else None
    counts = count_borrowing(inputs, searched, unrelated, arguments.neighbors, arguments.seed)
    write_parquet(counts, schemas.BORROWING, arguments.out)


if __name__ == "__main__":
    run(main)
