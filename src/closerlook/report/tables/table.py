"""Definition of a table: its columns, the files that it reads for a grid, and the functions that measure its rows.

Each table is one module: definition and measurement. Every job imports all of them with the Snakefile, so heavy libraries
(torch, transformers, scipy, wordfreq) are imported inside the functions that measure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from closerlook.core import layout
from closerlook.core.grouping import grouped
from closerlook.report.tables.metrics import Metric
from closerlook.stats.bootstrap import Estimate

Row = dict[str, Any]
"""A row of the grid (config.rows.GridRow, with what `Part.over` adds to it), or one of a tidy table: IDENTITY, keys, VALUE."""

Measured = tuple[Mapping[str, object], str, Estimate]
"""A measured value: the key columns' values, the metric, the estimate."""
MeasuredOf = tuple[Row, Mapping[str, object], str, Estimate]
"""The same, preceded by the row that it belongs to."""
Measure = Callable[..., Iterator[Measured]] | Callable[[list[tuple[Row, list[Path]]]], Iterator[MeasuredOf]]
"""Measures a part of a table, from the paths of one row, or from a group of rows, each with its paths."""

IDENTITY = ("model", "dataset", "size", "method", "seed", "evalset")
"""Columns that identify the cell and evalset. Controls have no dataset and no size."""
VALUE = ("metric", "value", "ci_low", "ci_high", "n", "n_null")
"""Columns of the value: metric, value, 95% interval, number of units measured, and of units that could not be."""


class Files:
    """Path templates that several tables read, filled in from a row of the grid."""

    RESPONSES = layout.responses("{cell}", "{evalset}")
    SHIFT = layout.shift("{cell}", "{evalset}")
    EVALSET = layout.evalset("{evalset}")
    SUBSET = layout.dataset("{subset}")
    SEARCHED = layout.dataset("{searched}")
    MODEL = layout.model("{model}")
    VERDICTS = layout.verdicts("{cell}", "{evalset}", "{judge}")
    SPANS = layout.spans("{cell}", "{evalset}", "{marker}")
    TRACE = layout.trace("{cell}", "{evalset}", "{marker}")
    BORROWING = layout.borrowing("{cell}", "{evalset}")


@dataclass(frozen=True)
class Part:
    """Rows of one kind. `measure` is called with the paths in `needs` for each distinct value of the columns `of` in the grid.

    needs: path templates under the results folder, in the columns of the grid and of `over`, and {subset} (dataset@size as in
        the cell's name).
    metrics: those that a missing cell has an empty row for.
    controls: whether controls have this part. They are not tuned, so they have no dataset, manifest or shift.
    keys: values of key columns that the rows of a missing cell have too.
    over: maps the grid's rows to those of this part, e.g. one per cell and judge. The key columns that it adds are filled in.
    together: if not None, `measure` is called once for all rows that agree in these columns, with a list of those whose files
        exist, each with its paths. It then yields each value with the row that it belongs to.
    optional: templates of files that may be missing; `measure` checks whether they exist.
    """

    of: tuple[str, ...]
    needs: tuple[str, ...]
    measure: Measure
    metrics: tuple[str, ...]
    controls: bool = False
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    over: Callable[[Iterable[Row]], Iterable[Row]] = lambda grid: grid
    together: tuple[str, ...] | None = None
    optional: tuple[str, ...] = ()

    def rows(self, grid: Iterable[Row]) -> Iterator[Row]:
        """The rows of the grid that have this part."""
        return (row for row in self.over(grid) if self.controls or row["dataset"])

    def calls(self, grid: Iterable[Row]) -> list[list[Row]]:
        """The rows of each call of `measure`: a group, or the first row of each identity."""
        columns = self.of if self.together is None else self.together
        groups = grouped(self.rows(grid), columns).values()
        return list(groups) if self.together is not None else [rows[:1] for rows in groups]

    def paths(self, row: Row) -> list[str]:
        """Files read for one row, relative to the results folder: the needed ones, then the optional ones."""
        subset = str(row["cell"]).split("/")[1]
        return [template.format(subset=subset, **row) for template in (*self.needs, *self.optional)]


@dataclass(frozen=True)
class Table:
    """Definition of a table.

    name: of its files, and of its section in docs/tables.md, which describes how it is measured.
    caption: at most two sentences: what a row is, and how to read its values.
    spread: key columns whose values become column headings where the table is drawn.
    unit: what n counts and intervals resample; empty for a table of counts.
    sections: headings, each with the metrics drawn under it; empty to draw all metrics together.
    asks_for: a column of the grid in which some row must have `at_least` this many names, or the grid has no such table.
    selective: whether a grid without rows of any part has no such table.
    truth: whether the table is only about evalsets whose truth is known, which are the miniature's.
    """

    name: str
    title: str
    caption: str
    metrics: Mapping[str, Metric]
    parts: tuple[Part, ...]
    keys: tuple[str, ...] = ()
    spread: tuple[str, ...] = ()
    unit: str = "responses"
    sections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    asks_for: str = ""
    at_least: int = 1
    selective: bool = False
    truth: bool = False

    @property
    def method(self) -> str:
        """Where the measurement is described."""
        return f"docs/tables.md#{self.name}"

    @property
    def description(self) -> str:
        """The caption and where to read more."""
        return f"{self.caption} Method: {self.method}."

    @property
    def columns(self) -> tuple[str, ...]:
        """Header of the CSV."""
        return (*IDENTITY, *self.keys, *VALUE)

    def about(self, grid: Iterable[Row]) -> list[Row]:
        """The rows of the grid that the table is about."""
        return [row for row in grid if not self.truth or row["truth_known"]]

    def fits(self, grid: Iterable[Row]) -> bool:
        """Whether the grid has such a table."""
        rows = self.about(grid)
        if self.truth and not rows:
            return False
        if self.selective and not any(True for part in self.parts for _ in part.rows(rows)):
            return False
        return not self.asks_for or any(len(row[self.asks_for]) >= self.at_least for row in rows)

    def inputs(self, grid: Iterable[Row]) -> list[str]:
        """All files that the table reads for a grid, relative to the results folder, in order."""
        rows = self.about(grid)
        paths = (path for part in self.parts for row in part.rows(rows) for path in part.paths(row))
        return list(dict.fromkeys(paths))
