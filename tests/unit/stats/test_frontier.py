"""Methods compared where they learned the same: by hand, by brute force, and by simulations that know the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from closerlook.stats.bootstrap import Estimate, Ratio
from closerlook.stats.frontier import LEVELS, Frontier, Point, common_levels, kept_at
from closerlook.stats.seeds import pool

Answers = tuple[np.ndarray, np.ndarray]
"""What was learned and kept: [rates, trainings, units] float64 each."""


def estimate(units: np.ndarray) -> Ratio:
    """A mean without its interval, which takes longest and is not needed."""
    return Ratio.of(Estimate(float(np.nanmean(units)), n=len(units)), units, np.ones(len(units)))


def frontier(answers: Answers) -> Frontier:
    return [[Point(*map(estimate, units)) for units in zip(*rate, strict=True)] for rate in zip(*answers, strict=True)]


def line(*points: tuple[float, float]) -> Frontier:
    """One training per rate, all of whose units are the same."""
    return frontier(tuple(np.repeat(np.array(axis)[:, None, None], 5, axis=2) for axis in zip(*points, strict=True)))


def values(estimates: list[Estimate]) -> list[float | None]:
    return [each.value for each in estimates]


def test_levels_are_those_that_both_reach() -> None:
    low, high = line((0.1, 1.0), (0.5, 0.8), (0.4, 0.2)), line((0.3, 1.0), (0.9, 0.5))
    assert common_levels(low, high) == pytest.approx({"1/4": 0.35, "1/2": 0.4, "3/4": 0.45})
    assert common_levels(high, low) == common_levels(low, high)


@pytest.mark.parametrize("other", [((0.5, 1.0), (0.6, 1.0)), ((0.7, 1.0), (0.6, 1.0)), ((0.2, 1.0),)])
def test_nothing_is_extrapolated(other: tuple[tuple[float, float], ...]) -> None:
    """A range that begins where the other ends, one that only falls, and one of a single rate."""
    assert common_levels(line((0.1, 1.0), (0.5, 0.8)), line(*other)) == {}


def test_by_hand() -> None:
    method = line((0.1, 1.0), (0.3, 0.9), (0.5, 0.5), (0.2, 0.0))
    other = line((0.0, 1.0), (1.0, 0.0))
    assert values(kept_at(0.2, method)) == pytest.approx([0.95])
    assert values(kept_at(0.4, method)) == pytest.approx([0.7])
    assert values(kept_at(0.4, method, minus=other)) == pytest.approx([0.7 - 0.6])
    assert values(kept_at(0.4, other, minus=method)) == pytest.approx([0.6 - 0.7])


def test_the_least_rate_that_reaches_the_level_counts() -> None:
    """Higher rates may learn less again, as a loss does that falls and rises, and pass the level once more."""
    assert values(kept_at(0.4, line((0.3, 1.0), (0.5, 0.8), (0.2, 0.1), (0.9, 0.0)))) == pytest.approx([0.9])


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(-1, 1)), min_size=2, max_size=6), st.floats(0.01, 0.99))
def test_between_rates_that_learn_more_and_more_it_is_linear_interpolation(steps: list, part: float) -> None:
    learned, kept = np.cumsum([step for step, _ in steps]), [y for _, y in steps]
    level = learned[0] + part * (learned[-1] - learned[0])
    found = values(kept_at(level, line(*zip(learned.tolist(), kept, strict=True))))
    assert found == pytest.approx([np.interp(level, learned, kept)], abs=1e-9)


TRUE = (
    (np.array([0.05, 0.2, 0.35, 0.45]), np.array([0.99, 0.97, 0.9, 0.8])),
    (np.array([0.1, 0.25, 0.45, 0.6]), np.array([0.98, 0.93, 0.85, 0.75])),
)
"""What two methods learn and keep at four rates, as shares of the questions in the long run."""
LEVEL = 0.3
SAMPLES = 250
COVERED = 0.92


def draw(rng: np.random.Generator, shares: np.ndarray, trainings: int, n: int, spread: float) -> np.ndarray:
    """Right or wrong: [methods, rates, trainings, questions]. A question is as hard for all; `spread` is a training's own, in
    standard deviations of a question's difficulty and noise together."""
    bars = ndtri(shares) * (1 + spread**2) ** 0.5
    own = spread * rng.standard_normal((*shares.shape, trainings, 1))
    hard = 0.8 * rng.standard_normal(n) + 0.6 * rng.standard_normal((*shares.shape, trainings, n))
    return (hard < bars[..., None, None] + own).astype(np.float64)


def sample(rng: np.random.Generator, trainings: int, n: int, spread: float) -> list[Frontier]:
    learned, kept = (draw(rng, np.array(shares), trainings, n, spread) for shares in zip(*TRUE, strict=True))
    return [frontier(answers) for answers in zip(learned, kept - 1, strict=True)]


def test_the_mean_over_trainings_is_the_value_of_the_mean_line() -> None:
    first, second = sample(np.random.default_rng(0), 3, 60, 0.2)
    found = kept_at(LEVEL, first, minus=second)
    lines = [
        np.array([[(p.learned.value, p.kept.value) for p in rate] for rate in f]).mean(axis=1).T
        for f in (first, second)
    ]
    assert np.mean(values(found)) == pytest.approx(np.interp(LEVEL, *lines[0]) - np.interp(LEVEL, *lines[1]))
    pooled = pool(found)
    assert pooled is not None
    assert pooled.estimate.value == pytest.approx(np.mean(values(found)))


def test_the_interval_is_that_of_resampled_questions() -> None:
    """Brute force: draw the questions of both axes anew, and read both lines again."""
    rng, n = np.random.default_rng(3), 2000  # so many that no draw moves the level to other rates
    learned, kept = (draw(rng, np.array(shares), 1, n, 0.0)[:, :, 0] for shares in zip(*TRUE, strict=True))
    firsts, seconds = (frontier((learned[m][:, None], kept[m][:, None])) for m in (0, 1))
    (found,) = kept_at(LEVEL, firsts, minus=seconds)
    again = []
    for _ in range(2000):
        rows = rng.integers(0, n, n), rng.integers(0, n, n)
        means = [axis[:, :, row].mean(axis=2) for axis, row in zip((learned, kept), rows, strict=True)]
        again.append(np.interp(LEVEL, means[0][0], means[1][0]) - np.interp(LEVEL, means[0][1], means[1][1]))
    low, high = np.percentile(again, [2.5, 97.5])
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(high - low, rel=0.12)
    assert found.n == 2 * n


def test_a_question_that_does_not_count_adds_nothing() -> None:
    """Units of the trainings stay the same; those that no training has are null."""
    first, second = sample(np.random.default_rng(1), 2, 40, 0.1)
    wide = [
        [[Point(estimate(np.append(p.learned.units.sums, np.nan)), p.kept) for p in rate] for rate in f]
        for f in (first, second)
    ]
    with_null, without = (kept_at(LEVEL, *pair[:1], minus=pair[1]) for pair in (wide, (first, second)))
    assert values(with_null) == pytest.approx(values(without))
    assert [(e.n, e.n_null) for e in with_null] == [(80, 1), (80, 1)]


@pytest.mark.parametrize(("trainings", "n", "spread"), [(1, 80, 0.0), (1, 200, 0.0), (2, 80, 0.2), (3, 80, 0.3)])
def test_intervals_hold_the_truth(trainings: int, n: int, spread: float) -> None:
    """The true difference at the levels that were found in the draw itself, as the table has them."""
    rng, errors = np.random.default_rng(trainings * n), []
    for number in range(SAMPLES):
        first, second = sample(rng, trainings, n, spread)
        level = list(common_levels(first, second).values())[number % len(LEVELS)]
        truth = np.interp(level, *TRUE[0]) - np.interp(level, *TRUE[1])
        each = kept_at(level, first, minus=second)
        found = pooled.estimate if (pooled := pool(each)) else each[0]
        assert found.low is not None
        assert found.high is not None
        errors.append(Estimate(None, found.low - truth, found.high - truth))
    share = np.mean([error.low <= 0 <= error.high for error in errors])
    assert share + 2 * (COVERED * (1 - COVERED) / SAMPLES) ** 0.5 >= COVERED
