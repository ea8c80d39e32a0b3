"""Read the instructions that cells answer. Writes a parquet file and a JSON report that counts every dropped row by reason.

Rows need a field `instruction`; `id`, `task_types`, `topics` and `reference` are taken where they are.
"""

import argparse
from pathlib import Path

from closerlook.core.scripts import run


def main() -> None:
    """Read, select, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="name of the evalset in the catalog")
    parser.add_argument(
        "--source", type=Path, required=True, help='JSON file: {"hub": id, "split": ...} or {"file": path}'
    )
    parser.add_argument(
        "--rows", type=int, nargs=2, metavar=("FIRST", "LAST"), help="use rows FIRST to LAST - 1, 0-based"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="use at most N of them")
    parser.add_argument("--out", type=Path, required=True, help="parquet file to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON report to write")
    arguments = parser.parse_args()

    from closerlook.config.source_files import ROW_SOURCES, read_source
    from closerlook.core.files import write_json, write_parquet
    from closerlook.core.schemas import EVALSET
    from closerlook.data.evalsets import prepare_evalset

    rows = tuple(arguments.rows) if arguments.rows else None
    table, report, summary = prepare_evalset(
        read_source(arguments.source, ROW_SOURCES), arguments.name, rows, arguments.limit
    )
    write_parquet(table, EVALSET, arguments.out)
    write_json(report, arguments.report)
    print(f"{arguments.name}: {summary}")


if __name__ == "__main__":
    run(main)
