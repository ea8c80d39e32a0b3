"""Rankers that may abstain: does the score of the first candidate tell spans that have a source from those that have none?"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from closerlook.report.tables.measuring import shares
from closerlook.report.tables.origin import Key, TracedSpan, sum_by_response
from closerlook.stats.auroc import auroc
from closerlook.stats.bootstrap import SEED, Estimate


def measure_abstention(
    spans: Mapping[Key, TracedSpan], truths: Mapping[Key, Collection[str]], ranker: str, ids: Collection[str]
) -> dict[str, Estimate]:
    """How well a ranker does on spans with and without a source, if it always answers, and if it may abstain.

    truths: the true sources of each span. ids: of all responses. Right is a first candidate that is a source, and none for a
    span that has no source. A ranker that may abstain does so below a score, which is chosen on a random half of the responses
    and applied to the other. Empty, if all spans have a source or none has.
    """
    sourced = np.array([bool(truths[key]) for key in spans])
    if sourced.all() or not sourced.any():
        return {}
    firsts = [span.first(ranker) for span in spans.values()]
    found = np.array([first.get("instance") in truths[key] for key, first in zip(spans, firsts, strict=True)])
    scores = np.array([_score(ranker, first) for first in firsts])
    response = np.unique([key[0] for key in spans], return_inverse=True)[1]
    half_of = np.random.default_rng(SEED).permutation(response.max() + 1) % 2
    answered = np.empty(len(scores), dtype=bool)
    for half in (0, 1):
        held_out = half_of[response] == half
        answered[held_out] = scores[held_out] >= _threshold(scores[~held_out], found[~held_out], sourced[~held_out])
    outcomes = {
        "right": np.where(sourced, found, scores == -np.inf),
        "right_abstaining": np.where(sourced, found & answered, ~answered),
        "answered": answered,
    }
    sums = {name: sum_by_response(spans, values.tolist(), ids) for name, values in outcomes.items()}
    totals = next(iter(sums.values()))[1]
    return {"auroc": auroc(scores, sourced, response)} | shares(
        {name: each for name, (each, _) in sums.items()}, totals
    )


def _score(ranker: str, first: Mapping[str, Any]) -> float:
    """How sure a ranker is of its first candidate; -inf if it has none."""
    if not first:
        return -np.inf
    if ranker == "lexical":  # the longest run of words of the span's sentence, if the span is in the candidate
        return float(first["shared"]) if first["verbatim"] else 0.0
    return float(first[{"gradient": "influence"}.get(ranker, ranker)])


def _threshold(scores: np.ndarray, found: np.ndarray, sourced: np.ndarray) -> float:
    """The score from which on to answer, so that most spans are right; the lowest, if several are as good."""
    candidates = np.unique([*scores[np.isfinite(scores)], np.inf])
    right = [int(found[scores >= score].sum() + (~sourced[scores < score]).sum()) for score in candidates]
    return float(candidates[int(np.argmax(right))])
