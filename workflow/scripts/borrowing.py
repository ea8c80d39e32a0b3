"""Count how much of what tuning moved, and of marked spans, stands in datasets, and how much does so by chance."""

import argparse
from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.core.scripts import run

DATASET = ("INDEX", "EMBEDDINGS")


def main() -> None:
    """Responses, their shift and spans, and indices in; counts per response, n-gram length and chance level out (BORROWING)."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("responses", "shift"):
        what = f"{name}.parquet of the cell on the evalset"
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=what)
    parser.add_argument("--evalset", type=Path, required=True, metavar="FILE", help="the instructions")
    parser.add_argument(
        "--spans",
        type=Path,
        nargs="*",
        default=[],
        metavar="FILE",
        help="spans/<marker>.parquet; named like the marker",
    )
    parser.add_argument(
        "--search",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME INDEX", "EMBEDDINGS"),
        help="a dataset@size to search: name, folder of its index, and maybe that of its embeddings; can be given again",
    )
    parser.add_argument(
        "--unrelated", type=Path, nargs="+", metavar=DATASET, help="another dataset: its index, maybe its embeddings"
    )
    parser.add_argument(
        "--base-responses", type=Path, metavar="FILE", help="responses.parquet of the untuned base model"
    )
    parser.add_argument(
        "--neighbours", type=int, default=50, metavar="N", help="instances that count as similar (default: 50)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="draws what chance is measured on (default: 0)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="parquet file to write")
    arguments = parser.parse_args()
    if any(len(given) not in (2, 3) for given in arguments.search) or len(arguments.unrelated or [1]) > 2:
        raise CloserlookError("--search takes a name and one or two folders, --unrelated one or two folders")
    if arguments.neighbours < 1:
        raise CloserlookError(f"--neighbours: found {arguments.neighbours}, expected at least 1")

    from closerlook.core import schemas
    from closerlook.core.files import write_parquet
    from closerlook.spans.located import read_instructions
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
    counts = count_borrowing(inputs, searched, unrelated, arguments.neighbours, arguments.seed)
    write_parquet(counts, schemas.BORROWING, arguments.out)


if __name__ == "__main__":
    run(main)
