"""Count how often shifted words and marked spans occur in datasets, and in what these are compared with."""

import argparse
from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.core.scripts import add_search, named_folders, run


def main() -> None:
    """Write BORROWING: counts per response, n-gram length and comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--responses", type=Path, required=True, metavar="FILE", help="responses.parquet of the cell on the evalset"
    )
    parser.add_argument(
        "--shift", type=Path, metavar="FILE", help="shift.parquet of the cell on the evalset (default: none, a control)"
    )
    parser.add_argument("--evalset", type=Path, required=True, metavar="FILE", help="parquet with the instructions")
    parser.add_argument(
        "--spans",
        type=Path,
        nargs="*",
        default=[],
        metavar="FILE",
        help="spans/<marker>.parquet files; the file name is the marker's name",
    )
    add_search(parser)
    parser.add_argument(
        "--unrelated",
        nargs="+",
        action="append",
        metavar=("NAME INDEX", "EMBEDDINGS"),
        help="what a dataset that is searched is compared with: that one's name, then folders as of --search; repeatable",
    )
    parser.add_argument(
        "--held-out",
        nargs=4,
        action="append",
        metavar=("NAME", "INDEX", "LEAST", "MOST"),
        help="chance level of a dataset that is searched: its name, the index of the whole dataset that it is a subset of, "
        "and how many of its last instances every cell tuned on it held out, and some cell did; repeatable",
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
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of all random draws (default: 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="parquet file to write")
    arguments = parser.parse_args()
    search, unrelated = named_folders(arguments.search, "--search"), named_folders(arguments.unrelated, "--unrelated")
    held_out = {name: (Path(index), int(least), int(most)) for name, index, least, most in arguments.held_out or ()}
    for flag, names in (("--unrelated", unrelated.keys()), ("--held-out", held_out.keys())):
        if foreign := names - search.keys():
            raise CloserlookError(f"{flag}: found {min(foreign)}, expected one of {', '.join(search)}")
    if arguments.neighbors < 1:
        raise CloserlookError(f"--neighbors: found {arguments.neighbors}, expected at least 1")

    from closerlook.core import schemas
    from closerlook.core.files import write_parquet
    from closerlook.spans.inputs import read_instructions
    from closerlook.trace.borrowing import BorrowingInputs, Searched, count_borrowing
    from closerlook.trace.held_out import Parts
    from closerlook.trace.index import Index
    from closerlook.trace.indexed_dataset import IndexedDataset
    from closerlook.trace.passages import Passages, read_spans, word_classes

    passages = Passages.read(arguments.responses)
    inputs = BorrowingInputs(
        passages,
        word_classes(passages, arguments.shift) if arguments.shift else None,
        read_instructions(arguments.evalset, passages.ids),
        {path.stem: read_spans(path, passages) for path in arguments.spans},
        Passages.read(arguments.base_responses).select(passages.ids) if arguments.base_responses else None,
    )
    searched = []
    for name, folders in search.items():
        dataset = IndexedDataset.open(name, *folders)
        other = IndexedDataset.open(unrelated[name][0].name, *unrelated[name]) if name in unrelated else None
        parts = None
        if name in held_out:
            whole, least, most = held_out[name]
            parts = Parts.cut(Index(whole), dataset.index.ids, least, most, arguments.seed)
        searched.append(Searched(dataset, other, parts))
    counts = count_borrowing(inputs, searched, arguments.neighbors, arguments.seed)
    write_parquet(counts, schemas.BORROWING, arguments.out)


if __name__ == "__main__":
    run(main)
