"""The table of the paper's numbers beside ours: what it says and what it reads."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import product

from closerlook.paper.mapping import matching
from closerlook.paper.reference import Printed, printed
from closerlook.paper.suspect import suspects
from closerlook.report.tables import metrics
from closerlook.report.tables.table import IDENTITY, Part, Row, Table, names_of

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
                ("tables/{table}.csv",),
                "closerlook.report.tables.reproduction:of_numbers",
                tuple(metrics.REPRODUCTION),
                controls=True,
                over=partial(numbers, tables),
                together=(),
            ),
        ),
    )
