"""The grid of a made-up results folder."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from closerlook.config.load import read
from closerlook.config.rows import GridRow, grid_rows
from closerlook.core import layout
from closerlook.core.files import write_json
from tests.support import REPOSITORY


def grid_row(**fields: Any) -> dict[str, Any]:
    """A row as tables read it; by default a cell of model m without judges, markers and tracing, on questions of known truth."""
    known = {"cell": "m/it/lft", "model": "m", "method": "lft", "evalset": "ask", "truth_known": True}
    return GridRow(**(known | fields)).model_dump()


def rows_of(preset: str) -> list[dict[str, Any]]:
    """The rows of a preset that is shipped."""
    return [row.model_dump() for row in grid_rows(read(f"config/{preset}.yaml", REPOSITORY))]


def write_rows(rows: Iterable[Mapping[str, Any]], results: Path) -> None:
    """Write grid.json from rows that may lack fields."""
    write_json([grid_row(**row) for row in rows], results / layout.GRID)
