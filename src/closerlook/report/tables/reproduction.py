"""Our value of each number that the paper prints, read from the table that measures it, and the difference."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import product
from pathlib import Path

from closerlook.core import layout
from closerlook.paper.mapping import matching
from closerlook.paper.reference import Printed, printed
from closerlook.paper.suspect import suspects
from closerlook.report.tables import metrics
from closerlook.report.tables.table import IDENTITY, MeasuredOf, Part, Row, Table, names_of
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
"""By kind of number: the metric (none: the number's own name), other keys of the row (if no row has the first, the next are
taken), and the column that names the number."""

Ours = Mapping[tuple[str, str], list[Row]]


def compare_numbers(tables: Mapping[str, Table], cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Ours, the paper's, and ours less the paper's. Ours is None where the table has no value, or no such row."""
    rows_of: dict[Path, Ours] = {}
    for number, (path,) in cells:
        if path not in rows_of:
            rows_of[path] = _by_name(path, tables[number["table"]])
        row = _ours(number, rows_of[path])
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


def _by_name(path: Path, table: Table) -> Ours:
    """A table's rows by metric and by the name of what is measured, as the columns of KEY_OF have it."""
    found: dict[tuple[str, str], list[Row]] = {}
    columns = {column for _, _, column in KEY_OF.values()}
    for row in read_csv(path, table):
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


OURS = {
    "aspects": "scores_by_aspect",
    "tasks": "scores_by_task",
    "lengths": "lengths",
    "kl": "kl_by_sentence_part",
    "simplification": "simplification",
    "origin": "origin",
}
"""By kind of number, the table that has ours."""
WHO = {"aspects": "judges", "tasks": "judges", "simplification": "compared_by", "origin": "markers"}
"""By kind of number, the column of grid.csv that names who ours can be from; the others are nobody's in particular."""
KEYS = ("source", "row", "measured", "judge", "suspect")


def numbers(tables: Mapping[str, Table], grid: Iterable[Row]) -> Iterator[Row]:
    """Yield a row per printed number and cell that it is about, and who ours is from; one in all where it is of no one cell.

    tables: those that measure ours, by name. Numbers that none of them measures on this grid are left out.
    """
    rows = list(grid)
    kinds = {kind for kind, name in OURS.items() if name in tables and tables[name].fits(rows)}
    told = set()
    for one, row in matching((one for one in printed() if one.kind in kinds), rows):
        whose = {**row}
        if not one.method:  # the lengths of a dataset
            whose |= dict.fromkeys(IDENTITY, "") | {"dataset": row["dataset"], "size": row["size"]}
        for judge, name in product(names_of(whose, WHO[one.kind]) if one.kind in WHO else [""], one.values):
            number = whose | _keys(one, name, judge) | {"kind": one.kind, "paper": one.values[name]}
            key = tuple(str(number[column]) for column in (*IDENTITY, *KEYS))
            if key not in told:
                told.add(key)
                yield number | {"table": OURS[one.kind]}


def _keys(one: Printed, name: str, judge: str) -> Row:
    reasons = suspects().get((one.source, one.row), ())
    place = {"source": one.source, "row": str(one.row)}
    return place | {"measured": name, "judge": judge, "suspect": "; ".join(reasons)}


def reproduction_table(tables: Mapping[str, Table]) -> Table:
    """The table of the paper's numbers beside ours, read from `tables`."""
    return Table(
        title="The paper's numbers and ours",
        caption=(
            "Every number of the paper that this grid has a cell for (config/reference/): ours, with the interval of the table "
            "that it is from; the paper's, which has none; ours less the paper's. Judge: who scored, compared or marked. "
            "Scores count N/A as 5, as just-eval's scripts do; a difference says something about the models only where judge and "
            "version are the paper's, gpt-4-1106-preview. Lengths are in characters, which the paper's tokens are; shares are "
            "fractions. Origin (Figure 8): the share of marked spans that people traced to the dataset; where nobody did, ours "
            "is that of those that stand in it verbatim. "
            "Suspect: what a check of the paper's tables holds against the row (closerlook.paper.suspect). Figure 4 names no "
            "dataset, taken for Alpaca, and Figure 6 no model, taken for LLaMa-2 7B SFT."
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
