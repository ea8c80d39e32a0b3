"""Read pieces of a general text. Writes a parquet file, and a JSON report that counts every dropped piece by reason."""

import argparse
from pathlib import Path

from closerlook.config.texts import COLUMN, PIECES
from closerlook.core.scripts import run


def main() -> None:
    """Read, cut, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source", type=Path, required=True, help='JSON file: {"hub": id, "split": ...} or {"file": path}'
    )
    parser.add_argument("--column", default=COLUMN, help="column of the text (default: %(default)s)")
    parser.add_argument("--separator", help="what is between the pieces of a .txt (default: blank lines)")
    parser.add_argument("--pieces", type=int, default=PIECES, metavar="N", help="most pieces (default: %(default)s)")
    parser.add_argument(
        "--draw", type=int, metavar="SEED", help="draw them from the whole source (default: the first ones)"
    )
    parser.add_argument("--out", type=Path, required=True, help="parquet file to write")
    parser.add_argument("--report", type=Path, required=True, help="JSON report to write")
    arguments = parser.parse_args()

    from closerlook.config.source_files import ROW_SOURCES, read_source
    from closerlook.core.files import write_json, write_parquet
    from closerlook.core.schemas import TEXT
    from closerlook.data.texts import prepare_text

    how = arguments.column, arguments.separator, arguments.pieces, arguments.draw
    table, report, summary = prepare_text(read_source(arguments.source, ROW_SOURCES), *how)
    write_parquet(table, TEXT, arguments.out)
    write_json(report, arguments.report)
    print(summary)


if __name__ == "__main__":
    run(main)
