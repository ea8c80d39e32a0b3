"""From a results folder to the tidy rows of a table; cells whose files are not there yet stay in it, empty and named."""

import csv
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tqdm import tqdm

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.report.tables.table import IDENTITY, Part, Row, Table


@dataclass(frozen=True)
class Missing:
    """A file that is not there, what it would have been read for, and the command that makes it."""

    what: str
    command: str


def read_grid(results: Path) -> list[Row]:
    """grid.csv, one row per cell and evalset: strings, and nothing but them."""
    path = results / layout.GRID_CSV
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
    except FileNotFoundError:
        raise CloserlookError(f"{path}: not found; `snakemake {shlex.quote(str(path))}` writes it") from None
    absent = [name for name in ("cell", *IDENTITY) if name not in (reader.fieldnames or ())]
    if absent:
        raise CloserlookError(f"{path}: has no column {', '.join(absent)}, found {', '.join(reader.fieldnames or ())}")
    return rows


def build(name: str, table: Table, results: Path, flags: Sequence[str] = ()) -> tuple[list[Row], list[Missing]]:
    """All rows of a table, in the grid's order (by what is measured together first), and the files that were not there.

    A row of the grid whose files are absent has one row per metric with an empty value and n = 0.
    """
    grid = read_grid(results)
    calls = [(part, cells) for part in table.parts for cells in part.calls(grid)]
    rows: list[Row] = []
    missing: dict[Path, Missing] = {}
    for part, cells in tqdm(calls, desc=name, unit="part", disable=None):
        there: list[tuple[Row, list[Path]]] = []
        for cell in cells:
            paths = [results / path for path in part.paths(cell)]
            absent = [path for path in paths if not path.exists()]
            for path in absent:
                missing.setdefault(path, Missing(_what(path, cell, part), _command(path, flags)))
            if not set(absent) & set(paths[: len(part.needs)]):
                there.append((cell, paths))
        rows += _rows(part, cells, there, table)
    return rows, list(missing.values())


def _rows(part: Part, cells: list[Row], there: list[tuple[Row, list[Path]]], table: Table) -> Iterator[Row]:
    """The rows of one call: for each identity what was measured, or one empty row per metric."""
    measured: dict[tuple[str, ...], list[Row]] = {}
    for cell, keys, metric, estimate in _measured(part, there):
        row = {**_blank(part, cell, table), **keys, "metric": metric, **_named(estimate)}
        measured.setdefault(_identity(part, cell), []).append(row)
    firsts: dict[tuple[str, ...], Row] = {}
    for cell in cells:
        firsts.setdefault(_identity(part, cell), cell)
    for identity, cell in firsts.items():
        yield from measured.get(identity) or _unmeasured(part, cell, table)


def _measured(part: Part, there: list[tuple[Row, list[Path]]]) -> Iterator[tuple[Row, Mapping[str, Any], str, Any]]:
    if not there:
        return
    measure: Callable[..., Any] = part.measure
    if part.together is not None:
        yield from measure(there)
    else:
        cell, paths = there[0]
        yield from ((cell, *measured) for measured in measure(*paths))


def _identity(part: Part, cell: Row) -> tuple[str, ...]:
    return tuple(cell[column] for column in part.of)


def _blank(part: Part, cell: Row, table: Table) -> Row:
    """A row without its value: the cell's identity as far as the part is of it, and the keys that are known beforehand."""
    known = {column: cell[column] for column in part.of}
    return {column: known.get(column, "") for column in table.columns}


def _named(estimate: Any) -> Row:
    names = {"value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high}
    return {**names, "n": estimate.n, "n_null": estimate.n_null}


def _unmeasured(part: Part, cell: Row, table: Table) -> Iterator[Row]:
    for values in product(*part.keys.values()):
        for metric in part.metrics:
            keys = dict(zip(part.keys, values, strict=True))
            yield _blank(part, cell, table) | keys | {"metric": metric, "n": 0, "n_null": 0}


def _what(path: Path, cell: Row, part: Part) -> str:
    """What a file would have been read for: another table, or the cell that it is of, and the evalset where that matters."""
    if path.parent.name == "tables":
        return f"table {path.stem}"
    name = cell["against"] if f"/cells/{cell.get('against')}/" in path.as_posix() else cell["cell"]
    return " on ".join(filter(None, [name, cell["evalset"] if "evalset" in part.of else ""]))


def _command(path: Path, flags: Sequence[str]) -> str:
    return shlex.join(["snakemake", path.as_posix(), *flags])
