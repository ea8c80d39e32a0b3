"""From a results folder to the tidy rows of a table; cells whose files are not there yet stay in it, empty and named."""

import csv
import importlib
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tqdm import tqdm

from closerlook.errors import CloserlookError
from closerlook.tables.registry import IDENTITY, Part, Table

Row = dict[str, Any]
"""One row of a tidy table: IDENTITY, the table's key columns, VALUE."""


@dataclass(frozen=True)
class Missing:
    """A file that is not there, what it would have been read for, and the command that makes it."""

    what: str
    command: str


def read_grid(results: Path) -> list[Row]:
    """grid.csv, one row per cell and evalset: strings, and nothing but them."""
    path = results / "grid.csv"
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


def build(name: str, table: Table, results: Path, configfiles: Sequence[str] = ()) -> tuple[list[Row], list[Missing]]:
    """All rows of a table, in the grid's order, and the files that were not there.

    A row of the grid whose files are absent has one row per metric with an empty value and n = 0.
    """
    grid = read_grid(results)
    work = [(part, row) for part in table.parts for row in _distinct(part, grid)]
    rows: list[Row] = []
    missing: dict[Path, Missing] = {}
    for part, cell in tqdm(work, desc=name, unit="part", disable=None):
        identity = {column: cell[column] if column in part.of else "" for column in IDENTITY}
        paths = [results / path for path in part.paths(cell)]
        absent = [path for path in paths if not path.exists()]
        for path in absent:
            what = " on ".join(filter(None, [cell["cell"], identity["evalset"]]))
            missing.setdefault(path, Missing(what, _command(path, configfiles)))
        rows += _unmeasured(part, identity, table) if absent else _measured(part, identity, paths, table)
    return rows, list(missing.values())


def _distinct(part: Part, grid: list[Row]) -> list[Row]:
    """The first row of the grid for each of the part's identities."""
    first: dict[tuple[str, ...], Row] = {}
    for row in grid:
        if part.applies(row):
            first.setdefault(tuple(row[column] for column in part.of), row)
    return list(first.values())


def _measured(part: Part, identity: Row, paths: list[Path], table: Table) -> Iterator[Row]:
    module, function = part.measure.split(":")
    for keys, metric, estimate in getattr(importlib.import_module(module), function)(*paths):
        yield {**dict.fromkeys(table.columns, ""), **identity, **keys, "metric": metric, **_named(estimate)}


def _named(estimate: Any) -> Row:
    names = {"value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high}
    return {**names, "n": estimate.n, "n_null": estimate.n_null}


def _unmeasured(part: Part, identity: Row, table: Table) -> Iterator[Row]:
    for values in product(*part.keys.values()):
        for metric in part.metrics:
            keys = dict(zip(part.keys, values, strict=True))
            yield {**dict.fromkeys(table.columns, ""), **identity, **keys, "metric": metric, "n": 0, "n_null": 0}


def _command(path: Path, configfiles: Sequence[str]) -> str:
    return shlex.join(["snakemake", path.as_posix(), *(["--configfile", *configfiles] if configfiles else [])])
