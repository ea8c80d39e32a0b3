"""Our value of each number that the paper prints, read from the table that measures it, and the difference."""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from pathlib import Path

from closerlook.report.tables.scores import MeasuredOf
from closerlook.report.tables.table import IDENTITY, Row
from closerlook.report.tables.tidy import read_csv, table_of
from closerlook.stats.bootstrap import Estimate

KEY_OF: dict[str, tuple[str | None, tuple[dict[str, str], ...], str]] = {
    "aspects": ("score_na_five", ({},), "aspect"),
    "tasks": ("score_na_five", ({"aspect": "mean"},), "task_type"),
    "lengths": ("characters", ({},), "what"),
    "kl": ("kl_base_tuned", ({},), "part"),
    "simplification": (None, ({},), "metric"),
    "origin": ("from_data", ({"criterion": "human"}, {"criterion": "verbatim"}), "metric"),
}
"""By kind of number: the metric (none: the number's own name), other keys of the row (if no row has the first, the next are
taken), and the column that names the number."""

Ours = Mapping[tuple[str, str], list[Row]]


def of_numbers(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Ours, the paper's, and ours less the paper's. Ours is None where the table has no value, or no such row."""
    for number, (table,) in cells:
        row = _ours(number, _by_name(table))
        ours = Estimate(row["value"], row["ci_low"], row["ci_high"], row["n"], row["n_null"]) if row else Estimate(None)
        keys = {"version": row.get("version", "") if row else ""}
        yield number, keys, "ours", ours
        yield number, keys, "paper", Estimate(number["paper"], n=ours.n, n_null=ours.n_null)
        yield number, keys, "difference", _less(ours, number["paper"])


def _less(ours: Estimate, paper: float | None) -> Estimate:
    """The paper's number has no uncertainty that we know, so that the interval is ours alone."""
    if paper is None:
        return ours._replace(value=None, low=None, high=None)
    value, low, high = (None if each is None else each - paper for each in ours[:3])
    return ours._replace(value=value, low=low, high=high)


@cache
def _by_name(path: Path) -> Ours:
    """A table's rows by metric and by the name of what is measured, as the columns of KEY_OF have it."""
    found: dict[tuple[str, str], list[Row]] = {}
    columns = {column for _, _, column in KEY_OF.values()}
    for row in read_csv(path, table_of(path)):
        for column in columns & row.keys():
            found.setdefault((row["metric"], row[column]), []).append(row)
    return found


def _ours(number: Row, table: Ours) -> Row | None:
    """The row that measures the same; what it leaves open (lengths of a dataset have no method) may be anything."""
    metric, alternatives, _ = KEY_OF[number["kind"]]
    rows = table.get((metric or number["measured"], number["measured"]), ())
    for more, row in product(alternatives, rows):
        same = all(not number[column] or not row[column] or str(number[column]) == row[column] for column in IDENTITY)
        judged = not number["judge"] or number["judge"] in (row.get("judge"), row.get("marker"))
        if same and judged and all(row[column] == value for column, value in more.items()):
            return row
    return None
