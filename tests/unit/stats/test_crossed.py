"""Rates in the answers to wordings of the same and of other instructions: by hand, at their limits, and how often they hold."""

import math

import numpy as np
import pytest
from scipy.stats import t

from closerlook.stats.bootstrap import Estimate, Ratio
from closerlook.stats.crossed import compare_crossed
from closerlook.stats.proportions import proportions
from closerlook.stats.seeds import pool

COVERED, SAMPLES, WORDINGS = 0.92, 500, 2


def roles(spans: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, ...]:
    """What `compare_crossed` takes: own, level, counts, received, asked.

    spans: [instructions, values] and answers: [instructions, wordings, values] say whether a text has the value.
    """
    found = spans @ answers.sum(axis=1).T  # [span's instruction, answer's instruction]
    counts, others = spans.sum(axis=1) * answers.shape[1], len(spans) - 1
    elsewhere = np.where(np.eye(len(spans), dtype=bool), 0.0, found) / max(1, others)
    asked = (counts.sum() - counts) / max(1, others)
    return np.diag(found), elsewhere.sum(axis=1), counts, elsewhere.sum(axis=0), asked


def drawn(rng: np.random.Generator, n: int, spans: float, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """Responses state some of 30 values, and both answers to wordings of one instruction are alike: long or short."""
    values = 1 / np.arange(1, 31)
    values /= values.sum()
    stated = rng.random((n, 30)) < 1 - np.exp(-spans * values)
    words = rng.lognormal(math.log(3) - spread**2 / 2, spread, (n, 1, 1))
    said = rng.random((n, WORDINGS, 30)) < 1 - np.exp(-words * values)
    said |= stated[:, None] & (rng.random((n, WORDINGS, 30)) < 0.3)
    return stated.astype(float), said.astype(float)


def test_by_hand() -> None:
    """Two instructions, of which the first has two spans; both spans are in the second's answers, none in the first's own."""
    spans = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    answers = np.array([[[0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0]]])
    level, difference = compare_crossed(*roles(spans, answers))
    assert (level.value, difference.value) == pytest.approx((2 / 3, 1 / 3 - 2 / 3))
    # the first's spans add 2 - 2 * 2/3, its answers 0 of the second's one span; the second's spans 0 of 1, its answers 2 of 2
    level_moves = np.array([2 / 3 - 2 / 3, -2 / 3 + 2 / 3]) / 3
    own_moves = np.array([0 - 2 / 3, 1 - 1 / 3]) / 3
    half = t.ppf(0.975, 1) * math.sqrt(2 * np.square(own_moves - level_moves).sum())
    assert (difference.low, difference.high) == pytest.approx((max(-1, -1 / 3 - half), min(1, -1 / 3 + half)))


def test_null_units_add_nothing_but_their_answers() -> None:
    rng = np.random.default_rng(0)
    spans, answers = drawn(rng, 30, 3.0, 1.0)
    some = compare_crossed(*roles(spans, answers))
    padded = compare_crossed(*(np.append(each, [0.0, 0.0]) for each in roles(spans, answers)))
    assert [(e.value, e.low, e.high, e.n) for e in padded] == [(e.value, e.low, e.high, e.n) for e in some]
    assert padded[0].n_null == some[0].n_null + 2
    none = np.zeros(4)
    assert compare_crossed(none, none, none, none, none) == (Estimate(None, n_null=4), Estimate(None, n_null=4))
    alone = compare_crossed(np.ones(1), np.array([np.nan]), np.ones(1), np.zeros(1), np.zeros(1))
    assert [e.value for e in alone] == [None, None]
    one = compare_crossed(
        np.array([1.0, 0]), np.array([0.5, 0]), np.array([1.0, 0]), np.array([0, 0.5]), np.array([0, 1.0])
    )
    assert one == (Estimate(0.5, n=1, n_null=1), Estimate(0.5, n=1, n_null=1))


def test_a_level_of_none_has_the_exact_interval_of_its_units() -> None:
    spans, answers = np.eye(20), np.eye(20)[:, None]
    level, difference = compare_crossed(*roles(spans, answers))
    assert (level.value, level.low, level.high) == (0, 0, pytest.approx(1 - 0.025 ** (1 / 20)))
    assert difference == Estimate(1.0, n=20)  # nothing varies


def test_trainings_can_be_pooled() -> None:
    """Two trainings that say the same are one: their units are all instructions, also those without a span."""
    estimates = compare_crossed(*roles(*drawn(np.random.default_rng(1), 60, 2.0, 1.0)))
    for estimate in estimates:
        assert isinstance(estimate, Ratio)
        pooled = pool([estimate, estimate])
        assert pooled
        assert pooled.estimate.value == pytest.approx(estimate.value)
        assert pooled.estimate.high - pooled.estimate.low == pytest.approx(estimate.high - estimate.low, rel=0.1)


@pytest.mark.parametrize("n", [48, 150])
@pytest.mark.parametrize(("spans", "spread"), [(0.7, 0.8), (6.0, 0.8), (6.0, 1.5)])
def test_intervals_cover_other_spans_and_other_answers(n: int, spans: float, spread: float) -> None:
    """Spans of one response are alike, and so are the answers to wordings of one instruction, in which all spans are sought."""
    rng = np.random.default_rng(n)
    many = [compare_crossed(*roles(*drawn(rng, 1500, spans, spread))) for _ in range(4)]
    truth = np.mean([[each.value for each in found] for found in many], axis=0)
    contained, alone = np.zeros(2), 0
    for _ in range(SAMPLES):
        sums = roles(*drawn(rng, n, spans, spread))
        contained += [e.low <= true <= e.high for e, true in zip(compare_crossed(*sums), truth, strict=True)]
        fixed = proportions(sums[1][:, None], sums[2][:, None])[0]
        alone += fixed.low <= truth[0] <= fixed.high
    error = math.sqrt(COVERED * (1 - COVERED) / SAMPLES)
    assert (contained / SAMPLES + 2 * error >= COVERED).all()
    if spread > 1 and n == 150:
        assert alone / SAMPLES + 2 * error < COVERED, "if the answers of others are taken as fixed"
