"""The tidy CSV, written and read without loss for any text of a token or a name.

Fields are quoted here, because before Python 3.13 csv.writer leaves a lone carriage return unquoted, which csv.reader refuses.
"""

import csv
import math
from pathlib import Path
from typing import Any

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_text
from closerlook.report.tables.table import VALUE, Table


def write_csv(rows: list[dict[str, Any]], table: Table, path: Path) -> None:
    """Write rows with the table's columns. Numbers have 10 significant digits, since more would differ between machines."""
    lines = [",".join(table.columns)]
    lines += [",".join(_field(row[column]) for column in table.columns) for row in rows]
    write_text("\n".join(lines) + "\n", path)


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


def _field(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = format(value, ".10g") if isinstance(value, float) else str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text
