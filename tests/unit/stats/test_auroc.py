"""The area under the ROC curve: counted pair by pair, and intervals that cover it where it is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from closerlook.stats.auroc import auroc

SCORES = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0])


@given(st.lists(st.tuples(SCORES, st.booleans()), max_size=12))
def test_it_is_the_share_of_pairs_in_the_right_order(items: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in items], dtype=np.float64)
    positive = np.array([kind for _, kind in items], dtype=bool)
    estimate = auroc(scores, positive, np.arange(len(items)))
    pairs = [(own > other) + (own == other) / 2 for own in scores[positive] for other in scores[~positive]]
    assert estimate.n == len(items)
    if not pairs:
        assert estimate.value is None
        return
    assert estimate.value == pytest.approx(np.mean(pairs))
    if min(positive.sum(), (~positive).sum()) > 1:
        assert 0 <= estimate.low < estimate.value + 1e-9
        assert estimate.value - 1e-9 < estimate.high <= 1
        assert estimate.high - estimate.low > 0.05, "no interval of so few items is narrow"


@pytest.mark.parametrize("truth", [0.5, 0.75, 0.95])
@pytest.mark.parametrize(("positive", "negative"), [(20, 20), (100, 15)])
@pytest.mark.parametrize("per_unit", [1, 3])
def test_intervals_cover_the_truth(truth: float, positive: int, negative: int, per_unit: int) -> None:
    """400 repeats: a true coverage of 95% gives less than 92% with a probability of 0.006. Items of a unit have the same luck."""
    generator = np.random.default_rng([positive, per_unit])
    kinds = np.repeat([True, False], [positive, negative])
    units = np.arange(len(kinds)) // per_unit
    hits = []
    for _ in range(400):
        luck = generator.normal(0, 1, units.max() + 1)[units] if per_unit > 1 else 0.0
        noise = generator.normal(0, 1, len(kinds))
        spread = np.sqrt(2) * (np.sqrt(2) if per_unit > 1 else 1)
        scores = noise + luck + kinds * norm.ppf(truth) * spread
        estimate = auroc(scores, kinds, units)
        hits.append(estimate.low <= truth <= estimate.high)
    assert np.mean(hits) >= 0.92


def test_scores_that_tell_all_apart_still_have_an_interval() -> None:
    estimate = auroc(np.arange(20.0), np.arange(20) >= 10, np.arange(20))
    assert estimate.value == 1
    assert 0.6 < estimate.low < 0.75, "ten of ten, as Clopper and Pearson"
    assert estimate.high == 1
