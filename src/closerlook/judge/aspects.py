"""What is judged, and what a judge says: per aspect a score and a reason, or no score and the cause."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

ASPECTS = ("helpfulness", "clarity", "factuality", "depth", "engagement")
"""The aspects of Lin et al. (just-eval), in the order of every verdict file. Safety is an aspect of its own prompt."""
SCORES = (1, 2, 3, 4, 5)

NullCause = Literal["refused", "unparsable", "not applicable", "error"]
NULL_CAUSES: tuple[NullCause, ...] = get_args(NullCause)
"""refused: the judge would not judge. unparsable: it answered, but not with one score of 1 to 5. not applicable: it said that the
aspect does not apply. error: no answer was had."""


@dataclass(frozen=True)
class Case:
    """What is judged."""

    id: str
    instruction: str
    response: str
    reference: str | None = None


@dataclass(frozen=True)
class Verdict:
    """One aspect's score, 1 to 5, or None and its cause: exactly one of the two is None."""

    aspect: str
    score: int | None
    null_cause: NullCause | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Judged:
    """All verdicts on one case, in the order of the judge's aspects. `judge`: its name and version. `cost`: of new calls."""

    verdicts: tuple[Verdict, ...]
    judge: str
    cost: float = 0.0


Judge = Callable[[Sequence[Case], Callable[[Judged], None]], list[Judged]]
"""Judges all cases, in their order, and calls back as each one is done."""


def nulls(aspects: Sequence[str], cause: NullCause, reason: str | None) -> tuple[Verdict, ...]:
    """No score for any aspect, for one cause."""
    return tuple(Verdict(aspect, None, cause, reason) for aspect in aspects)
