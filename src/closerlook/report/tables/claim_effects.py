"""The effect of a pair of cells that a claim is about: of a grid's trainings, or of two rows that the paper prints."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from closerlook.paper.claims import CLAIMS, Claim
from closerlook.paper.reference import Printed, printed
from closerlook.report.tables.claim_measures import LARGEST, READINGS
from closerlook.report.tables.table import Row
from closerlook.report.tables.verdicts import read_verdicts, versions
from closerlook.stats.bootstrap import Estimate
from closerlook.stats.effects import Effect, pool_effects
from closerlook.stats.seeds import NORMAL

NARROWEST, AT = 0.03, 800
"""Of the paper's mean scores, which have no interval: the narrowest half of a 95% interval that such means have, that of clarity
in the recorded verdicts of the paper's judge, and its number of instructions. The widest half is that of scores of 1 and 5."""
INSTRUCTIONS = {"just-eval-instruct": 800, "medinstruct-test": 216}
CLAIM = {claim.text: claim for claim in CLAIMS}

RANGE, NUMBERS, CAUSAL_TEST = "range of errors", "the numbers alone", "causal test"
AS_PRINTED = "as printed"


class PairEffect(NamedTuple):
    """The effect of a pair of cells. precise: the same with the smallest error that it may have, if that is not known.

    by: what it is decided by. version: of the judge.
    """

    effect: Effect
    by: str
    version: str = ""
    precise: Effect | None = None


def effect_from_files(trainings: Sequence[tuple[Row, list[Path]]]) -> PairEffect:
    """The mean over trainings, each a row and its files; n is the number of instructions."""
    claim = CLAIM[trainings[0][0]["claim"]]
    effects = [READINGS[claim.measure].take(row, *paths[:4]) for row, paths in trainings]
    files = {path for _, paths in trainings for path in paths[:2]} if claim.measure == "score" else set()
    count = "one training" if len(trainings) == 1 else f"{len(trainings)} trainings"
    by = CAUSAL_TEST if claim.measure == "cause" else f"paired test of {count}"
    return PairEffect(pool_effects(effects), by, versions(*map(read_verdicts, sorted(files))))


def effect_from_paper(row: Row) -> PairEffect:
    """Of two printed rows. Scores have an error between the narrowest and the widest that such means can have."""
    claim, first, second = CLAIM[row["claim"]], row["printed"], row["second_row"]["printed"]
    if claim.measure != "score":
        return PairEffect(Effect(Estimate(_difference(claim, first, second))), NUMBERS)
    a, b, n = first.values[claim.aspect], second.values[claim.aspect], INSTRUCTIONS[row["evalset"]]
    if a is None or b is None:
        return PairEffect(Effect(Estimate(None)), RANGE, AS_PRINTED)
    narrowest, widest = NARROWEST * math.sqrt(AT / n), NORMAL * LARGEST / 2 / math.sqrt(n)
    precise, effect = (_with_half(a - b, math.sqrt(2) * half, n) for half in (narrowest, widest))
    return PairEffect(effect, RANGE, AS_PRINTED, precise)


def _with_half(value: float, half: float, n: int) -> Effect:
    return Effect(Estimate(value, value - half, value + half, n), half / NORMAL)


def _difference(claim: Claim, first: Printed, second: Printed) -> float | None:
    """The first row's value minus the second's, of a measure without uncertainty."""
    if claim.measure == "kl_fall":
        return _rest(second) - _rest(first)
    if claim.measure == "from_data":
        a, b = (row.values["from_data"] for row in (first, second))
        return None if a is None or b is None else a - b
    a, b = (row.values["model_response"] for row in (first, second))
    sign = 1 if _printed_length(first.dataset) >= _printed_length(second.dataset) else -1
    return None if a is None or b is None else sign * (a - b)


def _rest(row: Printed) -> float:
    """The share of the KL of a sentence's first tokens that its other tokens have."""
    rest, first = row.values["last_95pct"], row.values["first_5pct"]
    assert rest is not None
    assert first
    return rest / first


def _printed_length(dataset: str) -> float:
    """Table 11's mean length of the responses in a dataset."""
    lengths = (row.values.get("dataset_response") for row in printed() if row.dataset == dataset)
    return next(length for length in lengths if length is not None)
