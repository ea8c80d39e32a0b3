"""The tidy CSV of a table, read back."""

import csv
from pathlib import Path
from typing import Any

from closerlook.core.errors import CloserlookError
from closerlook.report.tables.table import VALUE, Table


def read_csv(path: Path, table: Table) -> list[dict[str, Any]]:
    """Read a table's rows: numbers or None in VALUE's columns, text in the others. Raises CloserlookError for other columns."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            rows: list[dict[str, Any]] = list(reader)
    except FileNotFoundError:
        raise CloserlookError(f"{path}: not found; `snakemake {path}` writes it") from None
    if tuple(reader.fieldnames or ()) != table.columns:
        raise CloserlookError(
            f"{path}: columns are {reader.fieldnames}, expected {list(table.columns)}; make the table again"
        )
    for row in rows:
        row |= {name: float(row[name]) if row[name] else None for name in VALUE[1:4]}
        row |= {name: int(row[name]) for name in VALUE[4:]}
    return rows
