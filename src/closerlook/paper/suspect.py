"""Checks that find implausible rows in the paper's tables, from the tables alone; no row is listed by hand.

Each check takes all printed rows and yields (row, reason). A reason is a sentence about the row, with its evidence.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations

from closerlook.paper.mapping import IMPROVED
from closerlook.paper.reference import Printed, printed

Finding = tuple[Printed, str]
Location = tuple[str, int]
COLLAPSED = 1.5
"""With a mean below this, on a scale of integers from 1 to 5, at least half of the scores are 1."""
SLACK = 0.2
"""Tolerated difference between a mean over all responses and the means by task type. 345 of just-eval-instruct's 800 instructions
have two or three types and count in each: if their responses were a whole point better, the means would differ by 0.17."""


def missing(rows: Sequence[Printed]) -> Iterator[Finding]:
    """Rows without one of their values."""
    for row in rows:
        for name, value in row.values.items():
            if value is None:
                yield row, f"has no value for {name}"


def repeated(rows: Sequence[Printed]) -> Iterator[Finding]:
    """Rows that equal a row of another cell in all values but at most one, which means of hundreds of scores do not."""
    for row, other in combinations(rows, 2):
        if row.kind != other.kind:
            continue
        equal = sum(a is not None and a == b for a, b in zip(row.values.values(), other.values.values(), strict=True))
        if equal >= len(row.values) - 1:
            values = "every value" if equal == len(row.values) else "every value but one"
            yield row, f"{values} equals {other.location} ({_cell_name(other)})"
            yield other, f"{values} equals {row.location} ({_cell_name(row)})"


def collapsed(rows: Sequence[Printed]) -> Iterator[Finding]:
    """Models without any useful answer: their training failed, which says nothing about the method."""
    for row in rows:
        level = row.values["helpfulness"] if row.kind == "aspects" else row.mean
        if level is not None and level < COLLAPSED:
            measure = "helpfulness" if row.kind == "aspects" else "the mean over task types"
            yield (
                row,
                f"collapsed training: {measure} is {level:.2f}, so at least half of the scores are the lowest there is",
            )


def other_test_set(rows: Sequence[Printed]) -> Iterator[Finding]:
    """Rows whose test set differs from that of all other models tuned on the same dataset, if these share one."""
    for row in rows:
        others = {other.evalset for other in rows if other.dataset == row.dataset != "" and other is not row}
        if len(others) == 1 and row.evalset not in others:
            yield row, f"test set mislabeled? All other models tuned on {row.dataset} answer {others.pop()}"


def tables_disagree(rows: Sequence[Printed]) -> Iterator[Finding]:
    """Rows whose mean over aspects is outside the range of the means by task type of the same responses."""
    tasks = {_identity(row): row for row in rows if row.kind == "tasks"}
    for row in rows:
        by_task = tasks.get(_identity(row)) if row.kind == "aspects" else None
        if by_task is None:
            continue
        means = [value for value in by_task.values.values() if value is not None]
        low, high = min(means), max(means)
        if not low - SLACK <= row.mean <= high + SLACK:
            reason = f"the mean over aspects, {row.mean:.2f}, is not between the task types' {low:.2f} and {high:.2f}"
            yield row, f"{reason} ({by_task.location})"
            yield by_task, f"{reason} ({row.location})"


def worse_than_plain(rows: Sequence[Printed]) -> Iterator[Finding]:
    """Methods of section 6 with most values below plain full tuning, although the text says that all of them beat it."""
    largest: dict[tuple[str, ...], Printed] = {}
    for row in rows:
        if row.method == "sft":
            key = (row.kind, row.model, row.dataset, row.evalset)
            largest[key] = max(largest.get(key, row), row, key=lambda printed_row: printed_row.size or 0)
    for row in rows:
        improved = row.method == "nft" or (row.method == "sft" and row.dataset in IMPROVED)
        plain = largest.get((row.kind, row.model, IMPROVED.get(row.dataset, row.dataset), row.evalset))
        if not improved or plain is None:
            continue
        lower = sum(
            a is not None and b is not None and a < b
            for a, b in zip(row.values.values(), plain.values.values(), strict=True)
        )
        if 2 * lower > len(row.values):
            reason = f"lower than plain SFT ({plain.location}) in {lower} of {len(row.values)} values"
            yield row, f"{reason}; the text says that it beats it"


Check = Callable[[Sequence[Printed]], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (missing, repeated, collapsed, other_test_set, tables_disagree, worse_than_plain)
AGAINST_TEXT: tuple[Check, ...] = (worse_than_plain,)
"""Checks that find what the paper's text denies. To leave these rows out would prove the text right."""


@cache
def suspects() -> dict[Location, tuple[str, ...]]:
    """Reasons for each suspect row of the paper, by table and row number."""
    return suspects_among(printed())


@cache
def implausible() -> dict[Location, tuple[str, ...]]:
    """The same by the checks that are not AGAINST_TEXT."""
    return suspects_among(printed(), [check for check in CHECKS if check not in AGAINST_TEXT])


def suspects_among(rows: Sequence[Printed], checks: Sequence[Check] = CHECKS) -> dict[Location, tuple[str, ...]]:
    """Reasons for each row among `rows` that one of the checks finds, by table and row number."""
    reasons: dict[Location, tuple[str, ...]] = {}
    for check in checks:
        for row, reason in check([row for row in rows if row.kind in ("aspects", "tasks")]):
            location = row.source, row.row
            reasons[location] = (*reasons.get(location, ()), reason)
    return reasons


def _identity(row: Printed) -> tuple[object, ...]:
    return row.model, row.dataset, row.size, row.method, row.evalset


def _cell_name(row: Printed) -> str:
    size = f" {row.size // 1000}k" if row.size else ""
    return " ".join(filter(None, [row.model, row.method.upper() if row.dataset else "", f"{row.dataset}{size}"]))
