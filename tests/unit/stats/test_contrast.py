"""The difference between two ways of training: by hand, at its limits, and how often its interval holds and its test errs."""

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_ind

from closerlook.stats.bootstrap import Estimate, Ratio
from closerlook.stats.seeds import contrast

COVERED, WRONG, SAMPLES = 0.92, 0.07, 400


def trainings(sums: np.ndarray, counts: np.ndarray | None = None) -> list[Ratio]:
    """Rows of [trainings, units]."""
    counts = np.ones(sums.shape[1]) if counts is None else counts
    is_share = bool((sums >= 0).all() and (sums <= counts).all())
    return [Ratio.of(Estimate(row.sum() / counts.sum(), n=len(row)), row, counts, is_share=is_share) for row in sums]


def test_by_hand() -> None:
    """Means 1 and 3 against 0 and 1; the units' means over trainings differ by 0.5 and 2.5, so from 1.5 by 1 each."""
    first, second = (trainings(np.array(rows)) for rows in ([[0.0, 2.0], [3.0, 3.0]], [[1.0, -1.0], [1.0, 1.0]]))
    found = contrast(first, second)
    assert (found.estimate.value, found.estimate.n) == (1.5, 2)
    of_seeds = [2 / 2, 0.5 / 2]
    freedom = sum(of_seeds) ** 2 / sum(each**2 for each in of_seeds)
    influences = (np.array([1.5, 2.5]) - 2) / 2 - (np.array([1.0, 0.0]) - 0.5) / 2
    units = 2 * np.square(influences).sum()
    half = math.sqrt(sum(of_seeds) * t.ppf(0.975, freedom) ** 2 + units * t.ppf(0.975, 1) ** 2)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((1.5 - half, 1.5 + half))


def test_trainings_alone_are_compared_by_welch() -> None:
    """Where all units agree within a training, nothing but the trainings varies."""
    rng = np.random.default_rng(0)
    values = [rng.normal(size=5), 0.7 + 3 * rng.normal(size=3)]
    found = contrast(*(trainings(np.repeat(each[:, None], 9, axis=1)) for each in values))
    assert found.p == pytest.approx(ttest_ind(*values, equal_var=False).pvalue, rel=1e-6)


def test_units_are_pairs_and_trainings_are_not() -> None:
    rng = np.random.default_rng(1)
    units = 5 * rng.normal(size=40)
    first, second = (units + 0.1 * rng.normal(size=(4, 40)) for _ in range(2))
    found = contrast(trainings(first), trainings(second)).estimate
    assert found.high - found.low < 0.3, "what both share is not in the difference"
    assert contrast(trainings(first[::-1]), trainings(second)).estimate == pytest.approx(found)
    other = contrast(trainings(first[:, rng.permutation(40)]), trainings(second)).estimate
    assert other.high - other.low > 2


def test_p_and_the_interval_agree() -> None:
    rng = np.random.default_rng(2)
    counts = rng.integers(1, 5, 30).astype(float)
    for shift in (0.0, 0.1, 0.2, 0.4):
        first, second = (rng.binomial(counts.astype(int), 0.4 + move, (3, 30)) for move in (shift, 0.0))
        found = contrast(trainings(first.astype(float), counts), trainings(second.astype(float), counts))
        assert found.p is not None
        assert (found.p < 0.05) == (not found.estimate.low <= 0 <= found.estimate.high)


def test_one_training_has_an_interval_over_units_and_no_p() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.random((1, 20)), rng.random((1, 20))
    found = contrast(trainings(first), trainings(second))
    difference = (first - second)[0]
    half = t.ppf(0.975, 19) * difference.std(ddof=1) / math.sqrt(20)
    assert found.p is None
    assert (found.estimate.low, found.estimate.high) == pytest.approx(
        (difference.mean() - half, difference.mean() + half)
    )
    assert contrast(trainings(rng.random((5, 20))), trainings(second)).p is None


def test_what_never_varies_has_no_interval_and_different_units_are_refused() -> None:
    all_of_them, none = trainings(np.ones((3, 8))), trainings(np.zeros((2, 8)))
    assert contrast(all_of_them, none) == (Estimate(1.0, n=8), None)
    almost = trainings(np.array([[1.0] * 8, [1.0] * 7 + [0.0]]))
    assert contrast(almost, none).estimate.high == 1
    assert contrast(trainings(np.ones((3, 1))), trainings(np.zeros((3, 1)))) == (Estimate(1.0, n=1), None)
    with pytest.raises(ValueError, match="different units"):
        contrast(all_of_them, trainings(np.ones((2, 9))))


@pytest.mark.parametrize("seeds", [(5, 5), (4, 5), (2, 2)])
@pytest.mark.parametrize("values", [12, 18])
@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_intervals_cover_other_trainings_and_values(seeds: tuple[int, int], values: int, spread: float) -> None:
    """The design of the causal test: 20 spans of 12 or 18 values, whose log-odds trainings (spread) and values (1.5) move.

    Values also differ by 0.5 in how they react to what was left out. The truth is the mean over all trainings and values.
    """
    rng = np.random.default_rng(values)

    def returned(odds: float, models: int, of_values: np.ndarray) -> np.ndarray:
        chances = 1 / (1 + np.exp(-odds - spread * rng.normal(size=(models, 1)) - of_values))
        return (rng.random(chances.shape) < chances).astype(float)

    for odds in ((0.0, 0.0), (2.0, 2.0), (1.0, -1.0), (2.5, -2.5)):
        many = math.hypot(1.5, 0.5) * rng.normal(size=4000)
        truth = 0.0 if odds[0] == odds[1] else float(np.subtract(*(returned(each, 1000, many).mean() for each in odds)))
        contained, found = 0, 0
        for _ in range(SAMPLES):
            owner = np.append(np.arange(values), rng.integers(0, values, 20 - values))
            of_values = 1.5 * rng.normal(size=values)
            counts = np.bincount(owner).astype(float)
            shifts = [0.5 * rng.normal(size=values) for _ in odds]
            difference = contrast(
                *(
                    trainings(
                        np.stack(
                            [np.bincount(owner, weights=row) for row in returned(each, k, (of_values + shift)[owner])]
                        ),
                        counts,
                    )
                    for each, k, shift in zip(odds, seeds, shifts, strict=True)
                )
            )
            low, high = difference.estimate.low, difference.estimate.high
            contained += low is None or low <= truth <= high
            found += difference.p is not None and difference.p < 0.05
        assert contained / SAMPLES + 2 * math.sqrt(COVERED * (1 - COVERED) / SAMPLES) >= COVERED
        if truth == 0.0:
            assert found / SAMPLES - 2 * math.sqrt(WRONG * (1 - WRONG) / SAMPLES) <= WRONG
