"""Trace marked spans to the instances of datasets that they can have come from."""

import argparse
from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.core.scripts import add_search, named_folders, run


def main() -> None:
    """Write TRACE: each span's candidate instances, by dataset."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, file in (("responses", "responses.parquet"), ("spans", "spans/<marker>.parquet")):
        parser.add_argument(
            f"--{name}", type=Path, required=True, metavar="FILE", help=f"{file} of the cell on the evalset"
        )
    parser.add_argument(
        "--shift", type=Path, metavar="FILE", help="shift.parquet of the cell on the evalset (default: none, a control)"
    )
    parser.add_argument("--evalset", type=Path, required=True, metavar="FILE", help="parquet with the instructions")
    add_search(parser)
    parser.add_argument("--attribution", type=Path, metavar="FILE", help="attribution/<marker>.parquet (default: none)")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="candidates per ranker (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of all random draws (default: 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="parquet file to write")
    arguments = parser.parse_args()
    if arguments.top < 1:
        raise CloserlookError(f"--top: found {arguments.top}, expected at least 1")
    search = named_folders(arguments.search, "--search")

    import pyarrow as pa

    from closerlook.core import schemas
    from closerlook.core.files import write_parquet
    from closerlook.trace.candidates import trace
    from closerlook.trace.indexed_dataset import IndexedDataset
    from closerlook.trace.marked import MarkedResponses

    marked = MarkedResponses.read(
        arguments.responses, arguments.evalset, arguments.spans, arguments.shift, arguments.attribution
    )
    tables = [
        trace(marked, IndexedDataset.open(name, *folders), arguments.top, arguments.seed)
        for name, folders in search.items()
    ]
    write_parquet(pa.concat_tables(tables), schemas.TRACE, arguments.out)


if __name__ == "__main__":
    run(main)
