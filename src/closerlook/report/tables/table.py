"""What a table is: its columns, which files each kind of its rows is measured from, and what calls are made for a grid.

Each table is one module: its definition and what measures it. The Snakefile imports all of them in every job, to learn their
inputs, so what is heavy (torch, transformers, scipy, wordfreq) is imported inside the functions that measure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from closerlook.core import layout
from closerlook.report.tables.metrics import Metric
from closerlook.stats.bootstrap import Estimate

Row = dict[str, Any]
"""A row of grid.csv (with what `Part.over` adds to it), or one of a tidy table: IDENTITY, the table's key columns, VALUE."""

Measured = tuple[Mapping[str, object], str, Estimate]
"""A measured value: the key columns' values, the metric, the estimate."""
MeasuredOf = tuple[Row, Mapping[str, object], str, Estimate]
"""The same, after the row that it is about."""
Measure = Callable[..., Iterator[Measured]] | Callable[[list[tuple[Row, list[Path]]]], Iterator[MeasuredOf]]
"""What measures a part of a table: from the paths of one row, or from all rows that belong together, each with its paths."""

IDENTITY = ("model", "dataset", "size", "method", "seed", "evalset")
"""Columns that say whose value a row is. Controls have no dataset and no size."""
VALUE = ("metric", "value", "ci_low", "ci_high", "n", "n_null")
"""Columns that say the value: what, how much, its 95% interval, over how many, and how many could not be measured."""


# Templates of the files that several tables read: filled in from a row of the grid.
RESPONSES_FILE = layout.responses("{cell}", "{evalset}")
SHIFT_FILE = layout.shift("{cell}", "{evalset}")
EVALSET_FILE = layout.evalset("{evalset}")
SUBSET_FILE = layout.dataset("{subset}")
MODEL_FOLDER = layout.model("{model}")
VERDICTS_FILE = layout.verdicts("{cell}", "{evalset}", "{judge}")
SPANS_FILE = layout.spans("{cell}", "{evalset}", "{marker}")
TRACE_FILE = layout.trace("{cell}", "{evalset}", "{marker}")
BORROWING_FILE = layout.borrowing("{cell}", "{evalset}")


def _as_it_is(grid: Iterable[Row]) -> Iterable[Row]:
    return grid


@dataclass(frozen=True)
class Part:
    """Rows of one kind: for each distinct `of` in the grid, `measure` is called with the paths in `needs`.

    needs: path templates under the results folder, in grid.csv's columns, those of `over`, and {subset} (dataset@size as in
        the cell's name).
    keys: the key columns' values that rows of this part have whatever is measured, so that a missing cell has them too.
    over: from the grid's rows to those that this part is of, e.g. one per cell and judge; columns it adds that are keys of
        the table are filled in from it.
    together: where it is not None, `measure` is called once for all rows that agree in these columns, with a list of those
        whose files are there, each with its paths; what it yields begins with the row that it is about.
    optional: templates of files that it reads too, where they are there: `measure` is called without them, and looks.
    """

    of: tuple[str, ...]
    needs: tuple[str, ...]
    measure: Measure
    metrics: tuple[str, ...]
    controls: bool = False
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    over: Callable[[Iterable[Row]], Iterable[Row]] = _as_it_is
    together: tuple[str, ...] | None = None
    optional: tuple[str, ...] = ()

    def rows(self, grid: Iterable[Row]) -> Iterator[Row]:
        """The rows of the grid that have this part: controls train nothing, so they have no dataset, manifest or shift."""
        return (row for row in self.over(grid) if self.controls or row["dataset"])

    def calls(self, grid: Iterable[Row]) -> list[list[Row]]:
        """The rows of each call of `measure`: those that belong together, or the first of each identity alone."""
        groups: dict[tuple[str, ...], list[Row]] = {}
        for row in self.rows(grid):
            groups.setdefault(tuple(row[name] for name in self._grouped_by), []).append(row)
        return list(groups.values()) if self.together is not None else [rows[:1] for rows in groups.values()]

    @property
    def _grouped_by(self) -> tuple[str, ...]:
        return self.of if self.together is None else self.together

    def paths(self, row: Row) -> list[str]:
        """The files this part reads for one row, relative to the results folder: those it needs, then the optional ones."""
        subset = str(row["cell"]).split("/")[1]
        return [template.format(subset=subset, **row) for template in (*self.needs, *self.optional)]


@dataclass(frozen=True)
class Table:
    """One table. `spread`: key columns that become column headings, not rows, where the table is drawn for people.

    unit: what n counts and intervals resample; empty where the table has counts only.
    sections: headings, each with the metrics drawn under it; empty where all are drawn as one.
    asks_for: the grid's column, of names between spaces, in which some row must have `at_least` so many for the table to say
        anything; empty for none.
    selective: whether it says nothing of a grid of which none of its parts takes a row.
    truth: whether it is about evalsets whose truth is known, the miniature's, alone.
    tally: key columns and one more, of whose values a first section counts how often each stands beside theirs.
    """

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
    tally: tuple[tuple[str, ...], str] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Header of the CSV."""
        return (*IDENTITY, *self.keys, *VALUE)

    def fits(self, grid: Iterable[Row]) -> bool:
        """Whether some row of the grid has what the table asks for, and is what it is about."""
        rows = list(grid)
        if self.selective and not any(True for part in self.parts for _ in part.rows(rows)):
            return False
        return not self.asks_for or any(len(names_of(row, self.asks_for)) >= self.at_least for row in rows)

    def inputs(self, grid: Iterable[Row]) -> list[str]:
        """All files this table reads for a grid (rows with grid.csv's columns), relative to the results folder, in order."""
        rows = list(grid)
        paths = (path for part in self.parts for row in part.rows(rows) for path in part.paths(row))
        return list(dict.fromkeys(paths))


def judges_of(row: Row) -> list[str]:
    """The judges that score a row's responses."""
    return names_of(row, "judges")


def names_of(row: Row, column: str) -> list[str]:
    """The names, between spaces, in one of the grid's columns."""
    return str(row.get(column) or "").split()
