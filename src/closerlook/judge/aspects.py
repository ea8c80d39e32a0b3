"""Cases and verdicts: per aspect a score and a reason, or no score and its cause."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

ASPECTS = ("helpfulness", "clarity", "factuality", "depth", "engagement")
"""The aspects of Lin et al. (just-eval), in the order of every verdict file. Safety has a prompt of its own."""
SCORES = (1, 2, 3, 4, 5)

NullCause = Literal["refused", "unparsable", "not applicable", "error"]
NULL_CAUSES: tuple[NullCause, ...] = get_args(NullCause)
"""refused: the judge declined. unparsable: its answer has no single score of 1 to 5. not applicable: it said that the aspect does
not apply. error: there is no answer."""


@dataclass(frozen=True)
class Case:
    """A response to judge, with its instruction and perhaps a reference answer."""

    id: str
    instruction: str
    response: str
    reference: str | None = None


@dataclass(frozen=True)
class Verdict:
    """The score of one aspect, 1 to 5, or the cause of its absence: exactly one of the two is None."""

    aspect: str
    score: int | None
    null_cause: NullCause | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Judged:
    """The verdicts on one case, in the order of the judge's aspects. judge: name and version. cost: of new calls."""

    verdicts: tuple[Verdict, ...]
    judge: str
    cost: float = 0.0


Judge = Callable[[Sequence[Case], Callable[[Judged], None]], list[Judged]]
"""Judges cases and returns the results in their order; calls the function after each case."""


def null_verdicts(aspects: Sequence[str], cause: NullCause, reason: str | None) -> tuple[Verdict, ...]:
    """Return verdicts without a score for all aspects, for one cause."""
    return tuple(Verdict(aspect, None, cause, reason) for aspect in aspects)
