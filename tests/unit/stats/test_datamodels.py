"""The linear datamodeling score: against scipy, in worlds whose effects are known, and how often its interval holds."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr, t

from closerlook.stats.datamodels import Correlations, correlate, mean_correlation

COVERED, WRONG, SAMPLES = 0.92, 0.07, 120
INSTANCES, PER_RESPONSE = 60, 2
Scores = Callable[[np.random.Generator, np.ndarray], np.ndarray]

few_values = arrays(np.float64, st.just((3, 6)), elements=st.integers(-2, 2).map(float))


@settings(max_examples=60, deadline=None)
@given(few_values, few_values)
def test_it_is_scipys_correlation_with_all_models_and_without_each(predicted: np.ndarray, outcomes: np.ndarray) -> None:
    found = correlate(predicted, outcomes)
    for models, correlations in ((slice(None), found.over_all), *((_without(k), found.without[k]) for k in range(6))):
        for span, correlation in enumerate(correlations):
            some, other = predicted[span, models], outcomes[span, models]
            if np.ptp(outcomes[span]) == 0:
                assert math.isnan(correlation)
            elif np.ptp(other) == 0:
                assert correlation == found.over_all[span], "one model alone makes the outcomes vary"
            elif np.ptp(some) == 0:
                assert correlation == 0
            else:
                assert correlation == pytest.approx(spearmanr(some, other).statistic)


def _without(model: int) -> np.ndarray:
    return np.delete(np.arange(6), model)


def test_what_was_not_predicted_is_null() -> None:
    rng = np.random.default_rng(0)
    predicted, outcomes = rng.normal(size=(2, 4, 9))
    predicted[1] = math.nan
    found = mean_correlation(correlate(predicted, outcomes), np.array([0, 1, 2, 2]))
    assert (found.n, found.n_null) == (2, 1)
    assert found.value == pytest.approx(np.mean([spearmanr(predicted[i], outcomes[i]).statistic for i in (0, 2, 3)]))
    none = mean_correlation(correlate(predicted[1:2], outcomes[1:2]), np.zeros(1))
    assert none == (None, None, None, 0, 1)
    assert mean_correlation(correlate(predicted[:0], outcomes[:0]), np.zeros(0)) == (None, None, None, 0, 0)
    one = mean_correlation(correlate(predicted[2:], outcomes[2:]), np.zeros(2))
    assert (one.n, one.low) == (1, None), "one response shows nothing about others"


def test_the_interval_by_hand() -> None:
    """Units of no noise, and models of no influence: each part of the variance alone."""
    values = np.array([0.1, 0.3, 0.8])
    same = mean_correlation(Correlations(values, np.tile(values, (5, 1))), np.arange(3))
    half = t.ppf(0.975, 2) * values.std(ddof=1) / math.sqrt(3)
    assert (same.low, same.high) == pytest.approx((0.4 - half, min(1.0, 0.4 + half)))
    without = np.tile(np.array([[0.2], [0.3], [0.5], [0.6]]), (1, 40))  # what a model changes, it changes for all
    alike = mean_correlation(Correlations(np.full(40, 0.4), without), np.arange(40))
    half = t.ppf(0.975, 3) * math.sqrt(3 / 4 * np.square(without[:, 0] - 0.4).sum())
    assert (alike.low, alike.high) == pytest.approx((max(-1.0, 0.4 - half), min(1.0, 0.4 + half)))
    assert mean_correlation(Correlations(np.full(9, 0.5), np.full((8, 9), 0.5)), np.arange(9)).low is None


def world(rng: np.random.Generator, responses: int, models: int, noise: float = 1.0) -> tuple[np.ndarray, ...]:
    """A linear world: true effects [spans, instances], parts [models, instances], log-probabilities [spans, models], units.

    Spans of a response share some effects; models differ in what they have in common for all spans, as another seed does.
    """
    units = np.repeat(np.arange(responses), PER_RESPONSE)
    shape = (len(units), INSTANCES)
    shared = (rng.random((responses, INSTANCES)) < 0.06) * rng.normal(0.5, 0.5, (responses, INSTANCES))
    effects = (rng.random(shape) < 0.06) * rng.normal(1.0, 0.5, shape) + shared[units]
    parts = np.array([rng.permutation(INSTANCES) < INSTANCES // 2 for _ in range(models)], dtype=np.float64)
    outcomes = effects @ parts.T + noise * (rng.normal(size=(len(units), models)) + rng.normal(size=models))
    return effects, parts, outcomes, units


def test_the_true_effects_predict_everything_and_those_of_other_spans_nothing() -> None:
    effects, parts, outcomes, units = world(np.random.default_rng(1), 40, 50, noise=0.01)
    truth, other = (mean_correlation(correlate(each @ parts.T, outcomes), units) for each in (effects, effects[::-1]))
    assert truth.value is not None
    assert truth.value > 0.95
    assert other.value == pytest.approx(0, abs=0.12)
    assert other.low is not None
    assert other.low < 0 < (other.high or 0)


def noisy(rng: np.random.Generator, effects: np.ndarray) -> np.ndarray:
    return effects + 0.5 * rng.normal(size=effects.shape)


def unrelated(rng: np.random.Generator, effects: np.ndarray) -> np.ndarray:
    return rng.normal(size=effects.shape)


def popular(rng: np.random.Generator, effects: np.ndarray) -> np.ndarray:
    """The same scores for all spans: what models have in common correlates with them by chance, for all spans alike."""
    return np.tile(rng.normal(size=(1, INSTANCES)), (len(effects), 1))


def sparse(rng: np.random.Generator, effects: np.ndarray) -> np.ndarray:
    """One instance each, or none: many spans are not predicted at all."""
    return (rng.random(effects.shape) < 1 / INSTANCES).astype(np.float64)


@pytest.mark.parametrize("size", [(8, 30), (40, 10), (60, 24)], ids=str)
@pytest.mark.parametrize("scores", [noisy, unrelated, popular, sparse])
def test_intervals_cover_other_responses_and_models(size: tuple[int, int], scores: Scores) -> None:
    responses, models = size
    rng, truth = np.random.default_rng(responses * models), 0.0
    if scores is noisy:
        worlds = [world(rng, 50, models) for _ in range(60)]
        truth = float(np.mean([correlate(noisy(rng, each) @ p.T, o).over_all for each, p, o, _ in worlds]))
    covered = 0
    for _ in range(SAMPLES):
        effects, parts, outcomes, units = world(rng, responses, models)
        found = mean_correlation(correlate(scores(rng, effects) @ parts.T, outcomes), units)
        covered += found.low is not None and found.high is not None and found.low <= truth <= found.high
    assert covered / SAMPLES + 2 * math.sqrt(COVERED * (1 - COVERED) / SAMPLES) >= COVERED
    if truth == 0.0:
        assert 1 - covered / SAMPLES - 2 * math.sqrt(WRONG * (1 - WRONG) / SAMPLES) <= WRONG


def test_a_difference_of_rankers_is_paired() -> None:
    """Two that differ little are told apart far better than their intervals suggest."""
    rng = np.random.default_rng(4)
    effects, parts, outcomes, units = world(rng, 40, 30)
    good = correlate(effects @ parts.T, outcomes)
    worse = correlate((effects + 0.2 * rng.normal(size=effects.shape)) @ parts.T, outcomes)
    difference = mean_correlation(good.minus(worse), units, 2)
    alone = mean_correlation(good, units)
    assert difference.value == pytest.approx(np.mean(good.over_all - worse.over_all))
    assert difference.low is not None
    assert difference.low > 0
    assert (difference.high or 0) - difference.low < 0.7 * ((alone.high or 0) - (alone.low or 0))
