"""Measure all rows of a table in a results folder. Cells with missing files have empty rows, and the files are named."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tqdm import tqdm

from closerlook.config.rows import read_grid
from closerlook.core.grouping import grouped
from closerlook.report.tables.pooling import of_all_seeds, with_means
from closerlook.report.tables.table import VALUE, MeasuredOf, Part, Row, Table
from closerlook.stats.bootstrap import Estimate


@dataclass(frozen=True)
class Missing:
    """A missing file: the cell or the table that needs it, and the command that makes it."""

    needed_by: str
    command: str


def build(name: str, table: Table, results: Path, flags: Sequence[str] = ()) -> tuple[list[Row], list[Missing]]:
    """All rows of a table, in the grid's order within each call of a measurement, and the missing files.

    A row of the grid whose files are missing has one row per metric with an empty value and n = 0. Trainings that differ only in
    their seed are next to each other, followed by their mean.
    """
    grid = table.about(row.model_dump() for row in read_grid(results))
    groups = [(part, calls) for part in table.parts for calls in _by_training(part, grid)]
    rows: list[Row] = []
    missing: dict[Path, Missing] = {}
    for part, calls in tqdm(groups, desc=name, unit="part", disable=None):
        measured: list[tuple[Row, Estimate]] = []
        for cells in calls:
            files = [(cell, [results / path for path in part.paths(cell)]) for cell in cells]
            for cell, path in ((cell, path) for cell, paths in files for path in paths if not path.exists()):
                command = shlex.join(["snakemake", path.as_posix(), *flags])
                missing.setdefault(path, Missing(_needed_by(path, cell, part), command))
            complete = [(cell, paths) for cell, paths in files if not missing.keys() & set(paths[: len(part.needs)])]
            measured += _rows(part, cells, complete, table)
        rows += with_means(measured, table)
    return rows, list(missing.values())


def _by_training(part: Part, grid: list[Row]) -> list[list[list[Row]]]:
    """The calls of `measure`, in groups that differ only in their seed: what means are over is in memory at the same time."""
    columns = part.of if part.together is None else part.together
    groups: dict[tuple[Any, ...], list[list[Row]]] = {}
    for cells in part.calls(grid):
        one = of_all_seeds(cells[0])
        groups.setdefault(tuple(one[name] for name in columns), []).append(cells)
    return list(groups.values())


def _rows(
    part: Part, cells: list[Row], complete: list[tuple[Row, list[Path]]], table: Table
) -> Iterator[tuple[Row, Estimate]]:
    """The rows of one call: for each identity the measured rows, or one empty row per metric."""
    measured: dict[tuple[str, ...], list[tuple[Row, Estimate]]] = {}
    for cell, keys, metric, estimate in _measure(part, complete):
        row = {**_blank(part, cell, table), **keys, "metric": metric}
        # The units of what has no mean over trainings are forgotten: those of tokens would fill the memory.
        kept = estimate if table.metrics[metric].pooled else Estimate(*estimate)
        measured.setdefault(tuple(cell[column] for column in part.of), []).append((row, kept))
    for identity, group in grouped(cells, part.of).items():
        yield from measured.get(identity) or _empty_rows(part, group[0], table)


def _measure(part: Part, complete: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    measure: Callable[..., Any] = part.measure
    if complete and part.together is not None:
        yield from measure(complete)
    elif complete:
        cell, paths = complete[0]
        yield from ((cell, *measured) for measured in measure(*paths))


def _blank(part: Part, cell: Row, table: Table) -> Row:
    """A row with the columns of the cell that the part has, and all others empty."""
    columns = (name for name in table.columns if name not in VALUE)
    return {column: cell[column] if column in part.of else "" for column in columns}


def _empty_rows(part: Part, cell: Row, table: Table) -> Iterator[tuple[Row, Estimate]]:
    for *values, metric in product(*part.keys.values(), part.metrics):
        keys = dict(zip(part.keys, values, strict=True))
        yield _blank(part, cell, table) | keys | {"metric": metric}, Estimate(None)


def _needed_by(path: Path, cell: Row, part: Part) -> str:
    """The table that the file is, or the cell that it belongs to, with the evalset if the part has one."""
    if path.parent.name == "tables":
        return f"table {path.stem}"
    name = cell["against"] if f"/cells/{cell.get('against')}/" in path.as_posix() else cell["cell"]
    return " on ".join(filter(None, [name, cell["evalset"] if "evalset" in part.of else ""]))
