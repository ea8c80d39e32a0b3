"""What looks wrong in the paper's tables, found by checks on the tables themselves; no row is named here.

Each check takes all printed rows and yields (row, reason). A reason is a sentence about the row, with its evidence.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations

from closerlook.paper.mapping import IMPROVED
from closerlook.paper.reference import Printed, printed

Finding = tuple[Printed, str]
Place = tuple[str, int]
COLLAPSED = 1.5
"""A mean below it, on a scale of whole numbers from 1 to 5: at least half of the scores are 1."""
SLACK = 0.2
"""Between a mean over all responses and those by task type. 345 of just-eval-instruct's 800 instructions have two types or three
and count in each: were their responses a whole point better than the others, the means would part by 0.17."""


@cache
def suspects() -> dict[Place, tuple[str, ...]]:
    """Reasons for each suspect row, by table and row number."""
    return suspects_among(printed())


def suspects_among(rows: Sequence[Printed]) -> dict[Place, tuple[str, ...]]:
    """Reasons for each suspect row of these."""
    found: dict[Place, tuple[str, ...]] = {}
    for check in CHECKS:
        for row, reason in check([row for row in rows if row.kind in ("aspects", "tasks")]):
            place = row.source, row.row
            found[place] = (*found.get(place, ()), reason)
    return found


def missing(rows: Sequence[Printed]) -> Iterator[Finding]:
    """A value that is not there."""
    for row in rows:
        for name, value in row.values.items():
            if value is None:
                yield row, f"has no value for {name}"


def repeated(rows: Sequence[Printed]) -> Iterator[Finding]:
    """Two rows of different cells that agree in every value, or in all but one: two means of hundreds of scores do not."""
    for one, other in combinations(rows, 2):
        if one.kind != other.kind:
            continue
        equal = sum(a is not None and a == b for a, b in zip(one.values.values(), other.values.values(), strict=True))
        if equal >= len(one.values) - 1:
            how = "every value" if equal == len(one.values) else "every value but one"
            for row, like in ((one, other), (other, one)):
                yield row, f"{how} equals {like.place} ({_named(like)})"


def collapsed(rows: Sequence[Printed]) -> Iterator[Finding]:
    """A model that answers nothing useful: its training failed, which says nothing about the method."""
    for row in rows:
        level = row.values["helpfulness"] if row.kind == "aspects" else row.mean
        if level is not None and level < COLLAPSED:
            what = "helpfulness" if row.kind == "aspects" else "the mean over task types"
            yield (
                row,
                f"collapsed training: {what} is {level:.2f}, so at least half of the scores are the lowest there is",
            )


def other_test_set(rows: Sequence[Printed]) -> Iterator[Finding]:
    """A test set that no other row of models tuned on the same dataset has, where those have one and the same."""
    for row in rows:
        others = {like.evalset for like in rows if like.dataset == row.dataset != "" and like is not row}
        if len(others) == 1 and row.evalset not in others:
            yield row, f"test set mislabelled? All other models tuned on {row.dataset} answer {others.pop()}"


def tables_disagree(rows: Sequence[Printed]) -> Iterator[Finding]:
    """A mean over the aspects that lies outside the means by task type of the same responses."""
    tasks = {_identity(row): row for row in rows if row.kind == "tasks"}
    for row in rows:
        like = tasks.get(_identity(row)) if row.kind == "aspects" else None
        if like is None:
            continue
        there = [value for value in like.values.values() if value is not None]
        if not min(there) - SLACK <= row.mean <= max(there) + SLACK:
            told = f"the mean over aspects, {row.mean:.2f}, is not between the task types' {min(there):.2f} and {max(there):.2f}"
            yield row, f"{told} ({like.place})"
            yield like, f"{told} ({row.place})"


def worse_than_plain(rows: Sequence[Printed]) -> Iterator[Finding]:
    """A method of section 6 below plain full tuning on most of its values, though the text says that all of them beat it."""
    largest: dict[tuple[str, ...], Printed] = {}
    for row in rows:
        if row.method == "sft":
            key = (row.kind, row.model, row.dataset, row.evalset)
            largest[key] = max(largest.get(key, row), row, key=lambda each: each.size or 0)
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
            told = f"lower than plain SFT ({plain.place}) in {lower} of {len(row.values)} values"
            yield row, f"{told}; the text says that it beats it"


CHECKS: tuple[Callable[[Sequence[Printed]], Iterator[Finding]], ...] = (
    missing,
    repeated,
    collapsed,
    other_test_set,
    tables_disagree,
    worse_than_plain,
)


def _identity(row: Printed) -> tuple[object, ...]:
    return row.model, row.dataset, row.size, row.method, row.evalset


def _named(row: Printed) -> str:
    size = f" {row.size // 1000}k" if row.size else ""
    return " ".join(filter(None, [row.model, row.method.upper() if row.dataset else "", f"{row.dataset}{size}"]))
