"""Pooled trainings: by hand, at their limits, and how often the interval of the mean contains the truth."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, t

from closerlook.stats.bootstrap import Estimate, Ratio, ratios
from closerlook.stats.proportions import proportions
from closerlook.stats.seeds import pool

COVERED, WRONG, SAMPLES = 0.92, 0.07, 1000


def trainings(values: np.ndarray) -> list[Estimate]:
    """Means of the rows of [trainings, responses]."""
    return [ratios(row[:, None], np.ones(1))[0] for row in values]


def drawn(values: np.ndarray) -> list[Estimate]:
    """The same without intervals, which take time and which pooling does not need."""
    return [Ratio.of(Estimate(row.mean(), n=len(row)), row, np.ones(len(row))) for row in values]


def test_by_hand() -> None:
    """Two trainings of two responses: means 1 and 3, responses' means over trainings 1.5 and 2.5."""
    pooled = pool(trainings(np.array([[0.0, 2.0], [3.0, 3.0]])))
    assert pooled
    assert (pooled.estimate.value, pooled.trainings, pooled.estimate.n) == (2.0, 2, 2)
    assert pooled.sd == pytest.approx(math.sqrt(2))
    seeds, responses = 2 / 2, 0.5 / 2  # variances of the means over two trainings and over two responses
    assert pooled.response_variance == pytest.approx(responses)
    half = t.ppf(0.975, 1) * math.sqrt(seeds + responses)
    assert (pooled.estimate.low, pooled.estimate.high) == pytest.approx((2 - half, 2 + half))


def test_ratios_of_sums_by_brute_force() -> None:
    """The responses' part is the variance of the mean of ratios under resampling of responses (a jackknife of them)."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 30, (3, 200)).astype(float)
    sums = counts * rng.lognormal(0, 0.4, (3, 200))
    pooled = pool([ratios(s[:, None], c[:, None])[0] for s, c in zip(sums, counts, strict=True)])
    left_out = [
        np.mean([np.delete(s, i).sum() / np.delete(c, i).sum() for s, c in zip(sums, counts, strict=True)])
        for i in range(200)
    ]
    jackknife = 199 / 200 * np.sum((left_out - np.mean(left_out)) ** 2)
    assert pooled
    # linearization and jackknife agree up to terms of order 1 / n
    assert pooled.response_variance == pytest.approx(jackknife, rel=0.03)


def test_one_training_is_not_pooled() -> None:
    one = trainings(np.random.default_rng(0).random((1, 9)))
    assert pool(one) is pool([]) is None
    assert pool([*one, Estimate(None, n_null=9)]) is None  # the other has no value
    three = trainings(np.random.default_rng(0).random((3, 9)))
    assert pool([*three, Estimate(None)]) == pool(three)


def test_what_all_trainings_agree_on() -> None:
    """A mean that nothing varies has no interval and no p; a share of all or none has the exact interval of the responses."""
    constant = pool(trainings(np.full((5, 20), 0.1)))
    assert constant
    assert (constant.estimate, constant.p, constant.varies) == (Estimate(pytest.approx(0.1), n=20), None, False)
    all_right = pool([proportions(np.ones((20, 1)), np.ones(1))[0]] * 5)
    assert all_right
    assert all_right.estimate.low == pytest.approx(binomtest(20, 20).proportion_ci(method="exact").low)
    assert all_right.estimate.high == 1


def test_shares_stay_between_0_and_1() -> None:
    right = np.arange(40)[None] < np.array([[40], [36], [30]])
    pooled = pool([proportions(row[:, None], np.ones(1))[0] for row in right])
    assert pooled
    assert 0 < pooled.estimate.low < pooled.estimate.value < pooled.estimate.high <= 1


def test_without_units_the_trainings_own_intervals_count() -> None:
    bare = [Estimate(value, value - 1.96, value + 1.96, 50) for value in (2.0, 2.0)]
    pooled = pool(bare)
    assert pooled
    assert pooled.response_variance == pytest.approx(1, rel=1e-4)
    assert pooled.sd == 0
    trimmed = Ratio.of(bare[0], np.ones(3), np.ones(3))._replace(value=2.0)  # a change forgets the units
    assert pool([trimmed, bare[1]]) == pooled


def test_p_is_the_level_at_which_the_interval_ends() -> None:
    rng = np.random.default_rng(1)
    pooled = pool(trainings(0.3 + rng.normal(0, 0.1, (4, 1)) + rng.normal(0, 1, (4, 60))))
    assert pooled
    assert pooled.p_above(pooled.estimate.low) == pytest.approx(0.025, rel=1e-6)
    assert pooled.p_above(pooled.estimate.high) == pytest.approx(0.975, rel=1e-6)
    assert pooled.p_above(pooled.estimate.value) == 0.5
    assert pooled.p == pytest.approx(2 * pooled.p_above(0))
    assert 0 <= pooled.p_above(-1e9) <= 1e-9 < 1 - 1e-9 <= pooled.p_above(1e9) <= 1
    # of many trainings without responses' variance: a t test of their means
    means = rng.normal(0.1, 1, 12)
    alone = pool([Estimate(value, n=9) for value in means])
    assert alone
    expected = t.sf(means.mean() / (means.std(ddof=1) / math.sqrt(12)), 11)
    assert alone.p_above(0) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("n", [48, 200])
@pytest.mark.parametrize("spread", [0.0, 0.05, 0.14, 0.5])
def test_intervals_cover_other_seeds_and_other_instructions(seeds: int, n: int, spread: float) -> None:
    """Seeds, skewed instructions that all trainings share, and noise: the truth is the mean over all seeds and instructions."""
    rng = np.random.default_rng(seeds * n)
    contained, found = 0, 0
    for _ in range(SAMPLES):
        shared = 0.6 * (rng.lognormal(0, 0.5, n) - math.exp(0.125))
        pooled = pool(drawn(spread * rng.normal(size=(seeds, 1)) + shared + 0.6 * rng.normal(size=(seeds, n))))
        assert pooled
        contained += pooled.estimate.low <= 0 <= pooled.estimate.high
        found += pooled.p < 0.05
    error = math.sqrt(COVERED * (1 - COVERED) / SAMPLES)
    assert contained / SAMPLES + 2 * error >= COVERED
    assert found / SAMPLES - 2 * error <= WRONG


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0])
def test_intervals_of_shares_cover_other_seeds_and_other_questions(share: float, spread: float) -> None:
    """Five trainings, 80 questions of different difficulty, log-odds that seeds and questions move."""
    rng = np.random.default_rng(7)

    def right(seeds: int, questions: int) -> np.ndarray:
        odds = math.log(share / (1 - share)) + spread * rng.normal(size=(seeds, 1)) + rng.normal(size=(1, questions))
        return rng.random((seeds, questions)) < 1 / (1 + np.exp(-odds))

    truth = right(2000, 2000).mean()
    contained = 0
    for _ in range(SAMPLES // 2):
        pooled = pool([proportions(row[:, None], np.ones(1))[0] for row in right(5, 80)])
        assert pooled
        contained += pooled.estimate.low <= truth <= pooled.estimate.high
    error = math.sqrt(COVERED * (1 - COVERED) / (SAMPLES // 2))
    assert contained / (SAMPLES // 2) + 2 * error >= COVERED
