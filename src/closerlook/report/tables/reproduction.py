"""The numbers that the paper prints, compared with ours from the tables that measure them."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import product
from pathlib import Path

from closerlook.core import layout
from closerlook.paper.mapping import matching
from closerlook.paper.reference import Printed, printed
from closerlook.paper.suspect import suspects
from closerlook.report.tables import metrics
from closerlook.report.tables.table import IDENTITY, MeasuredOf, Part, Row, Table
from closerlook.report.tables.tidy import read_csv
from closerlook.stats.bootstrap import Estimate

KEY_OF: dict[str, tuple[str | None, tuple[dict[str, str], ...], str]] = {
    "aspects": ("score_na_five", ({},), "aspect"),
    "tasks": ("score_na_five", ({"aspect": "mean"},), "task_type"),
    "lengths": ("characters", ({},), "what"),
    "kl": ("kl_base_tuned", ({},), "part"),
    "simplification": (None, ({},), "metric"),
    "origin": ("from_data", ({"criterion": "human"}, {"criterion": "verbatim"}), "metric"),
}
"""By kind of number: the metric (None: the number's own name), other keys of the row (the first that a row has), and the
column with the number's name."""
TABLE_OF = {
    "aspects": "scores_by_aspect",
    "tasks": "scores_by_task",
    "lengths": "lengths",
    "kl": "kl_by_sentence_part",
    "simplification": "simplification",
    "origin": "origin",
}
"""By kind of number, the table that measures it."""
JUDGES_IN = {"aspects": "judges", "tasks": "judges", "simplification": "compared_by", "origin": "markers"}
"""By kind of number, the column of grid.csv that names who judged, compared or marked; the others have nobody."""
KEYS = ("source", "row", "measured", "judge", "suspect")

Ours = Mapping[tuple[str, str], list[Row]]
"""A table's rows by metric and by the name of what is measured, from the columns of KEY_OF."""


def compare_numbers(tables: Mapping[str, Table], cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Our value, the paper's, and ours minus the paper's. Ours is None if the table has no such row or value."""
    rows_of: dict[Path, Ours] = {}
    for number, (path,) in cells:
        if path not in rows_of:
            rows_of[path] = _read_ours(path, tables[number["table"]])
        row = _find_row(number, rows_of[path])
        ours = Estimate(row["value"], row["ci_low"], row["ci_high"], row["n"], row["n_null"]) if row else Estimate(None)
        keys = {"version": row.get("version", "") if row else ""}
        yield number, keys, "ours", ours
        yield number, keys, "paper", Estimate(number["paper"], n=ours.n, n_null=ours.n_null)
        yield number, keys, "difference", _subtract(ours, number["paper"])


def _subtract(ours: Estimate, paper: float | None) -> Estimate:
    """The difference with our interval: the uncertainty of the paper's number is not known."""
    if paper is None:
        return ours._replace(value=None, low=None, high=None)
    value, low, high = (None if number is None else number - paper for number in ours[:3])
    return ours._replace(value=value, low=low, high=high)


def _read_ours(path: Path, table: Table) -> Ours:
    ours: dict[tuple[str, str], list[Row]] = {}
    columns = {column for _, _, column in KEY_OF.values()}
    for row in read_csv(path, table):
        for column in columns & row.keys():
            ours.setdefault((row["metric"], row[column]), []).append(row)
    return ours


def _find_row(number: Row, ours: Ours) -> Row | None:
    """The row that measures a number. Columns that the row leaves empty (a dataset's lengths have no method) match anything."""
    metric, alternatives, _ = KEY_OF[number["kind"]]
    rows = ours.get((metric or number["measured"], number["measured"]), ())
    for keys, row in product(alternatives, rows):
        same = all(not number[column] or not row[column] or str(number[column]) == row[column] for column in IDENTITY)
        judged = not number["judge"] or number["judge"] in (row.get("judge"), row.get("marker"))
        if same and judged and all(row[column] == value for column, value in keys.items()):
            return row
    return None


def numbers(tables: Mapping[str, Table], grid: Iterable[Row]) -> Iterator[Row]:
    """Yield a row per printed number, cell that it is about, and judge; a single row for a number of no particular cell.

    tables: those with our values, by name. Numbers that none of them measures on this grid are left out.
    """
    rows = list(grid)
    kinds = {kind for kind, name in TABLE_OF.items() if name in tables and tables[name].fits(rows)}
    seen = set()
    for printed_row, row in matching((each for each in printed() if each.kind in kinds), rows):
        kind, cell = printed_row.kind, {**row}
        if not printed_row.method:  # the lengths of a dataset
            cell |= dict.fromkeys(IDENTITY, "") | {"dataset": row["dataset"], "size": row["size"]}
        judges = cell[JUDGES_IN[kind]] if kind in JUDGES_IN else [""]
        for judge, (name, value) in product(judges, printed_row.values.items()):
            number = cell | _keys(printed_row, name, judge) | {"kind": kind, "paper": value, "table": TABLE_OF[kind]}
            key = tuple(str(number[column]) for column in (*IDENTITY, *KEYS))
            if key not in seen:
                seen.add(key)
                yield number


def _keys(row: Printed, name: str, judge: str) -> Row:
    reasons = suspects().get((row.source, row.row), ())
    keys = {"source": row.source, "row": str(row.row), "measured": name}
    return keys | {"judge": judge, "suspect": "; ".join(reasons)}


def reproduction_table(tables: Mapping[str, Table]) -> Table:
    """The table of the paper's numbers and ours, read from `tables`."""
    return Table(
        name="reproduction",
        title="The paper's numbers and ours",
        caption=(
            "One row per number of the paper that this grid measures: ours with its interval, the paper's, and ours "
            "minus the paper's. Scores can be compared only where judge and version are the paper's, "
            "gpt-4-1106-preview."
        ),
        metrics=metrics.REPRODUCTION,
        keys=("source", "row", "measured", "judge", "version", "suspect"),
        selective=True,
        parts=(
            Part(
                (*IDENTITY, *KEYS),
                (layout.table("{table}"),),
                partial(compare_numbers, tables),
                tuple(metrics.REPRODUCTION),
                controls=True,
                over=partial(numbers, tables),
                together=(),
            ),
        ),
    )
