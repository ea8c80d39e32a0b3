"""Decisions of claims against scipy's tests, and where nothing can be decided."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from closerlook.paper.claims import Claim, improvements, same_data, single_cells
from closerlook.report.tables.claim_effects import FEWEST, NORMAL, Effect, bootstrap_effect
from closerlook.report.tables.claims import decide, one_sided_p
from closerlook.stats.bootstrap import Estimate

RNG = np.random.default_rng(5)
MORE = Claim("x", "score", "more", same_data("lft", "sft"))
LESS = Claim("x", "kl_fall", "less", single_cells("lft"), 0.5)
WITHIN = Claim("x", "score", "within", same_data("lft", "sft"), 0.2)


def effect(value: float | None, error: float | None, n: int = 100) -> Effect:
    return Effect(Estimate(value, n=n), error, "paired test")


def test_sides_are_one_sided_t_tests() -> None:
    sample = RNG.normal(0.2, 1, 50)
    one = effect(float(sample.mean()), float(sample.std(ddof=1) / math.sqrt(50)), 50)
    greater = stats.ttest_1samp(sample, 0.0, alternative="greater").pvalue
    sides = one_sided_p(one, MORE)
    assert sides == pytest.approx((greater, 1 - greater))
    assert one_sided_p(effect(0.5, 0.1), LESS) == pytest.approx((0.5, 0.5))
    inside = max(
        stats.ttest_1samp(sample, -0.2, alternative="greater").pvalue,
        stats.ttest_1samp(sample, 0.2, alternative="less").pvalue,
    )
    tost = one_sided_p(one, WITHIN)
    assert tost
    assert tost[0] == pytest.approx(inside)


def test_nothing_to_test_is_undecided() -> None:
    for one in (effect(None, None, 0), effect(0.3, None, 1), effect(0.3, 0.1, 1)):
        assert one_sided_p(one, MORE) is None
        assert decide(one, MORE, None, None) == "undecided"
    assert one_sided_p(effect(0.0, 0.0), LESS) is None  # no scale says how far off a fall may be


@pytest.mark.parametrize(("claim", "value", "bound", "end"), [(MORE, 1.0, 0.0, -4.0), (WITHIN, 0.0, 0.2, 4.0)])
@pytest.mark.parametrize("n", [30, 58, 200])
def test_where_all_scores_agree_the_bound_is_exact(
    claim: Claim, value: float, bound: float, end: float, n: int
) -> None:
    """The worst case: as many instructions as the bound allows differ by the whole scale, and none of them was drawn."""
    share = (bound - value) / (end - value)
    assert value + share * (end - value) == pytest.approx(bound)
    for_, against = one_sided_p(effect(value, 0.0, n), claim) or (0, 0)
    assert for_ == pytest.approx((1 - share) ** n)
    assert against == 1
    if claim is WITHIN:
        assert (for_ < 0.05) is (n > 58)  # 5% of the answers may differ by 4 points


def test_where_all_scores_agree_with_the_bound_nothing_is_shown() -> None:
    assert one_sided_p(effect(0.0, 0.0), MORE) == (1, 1)  # twins: no difference at all
    assert one_sided_p(effect(-1.0, 0.0, 40), MORE) == (1, pytest.approx((4 / 5) ** 40))


@settings(deadline=None, max_examples=60)
@given(st.floats(-2, 2), st.floats(1e-3, 1), st.integers(2, 1000), st.sampled_from([MORE, LESS, WITHIN]))
def test_sides_agree_with_the_number(value: float, error: float, n: int, claim: Claim) -> None:
    """What is likelier than its opposite is what the number itself says."""
    for_, against = one_sided_p(effect(value, error, n), claim) or (0, 0)
    inside = {"more": value > claim.bound, "less": value < claim.bound, "within": abs(value) < claim.bound}[claim.sense]
    assert 0 <= for_ <= 1
    assert 0 <= against <= 1
    if min(for_, against) < 0.05:
        assert (for_ < against) is inside


def test_bootstrapped_error_is_the_means() -> None:
    sample = RNG.normal(1, 2, (400, 1))
    sample[3] = np.nan
    estimate, error = bootstrap_effect(sample, np.ones_like(sample), lambda means: means[..., 0])
    kept = sample[np.isfinite(sample)]
    assert estimate.value == pytest.approx(kept.mean())
    assert (estimate.n, estimate.n_null) == (399, 1)
    assert error == pytest.approx(kept.std() / math.sqrt(399), rel=0.06)
    assert estimate.low == pytest.approx(kept.mean() - NORMAL * kept.std() / math.sqrt(399), abs=0.04)


def test_no_response_at_all() -> None:
    none = np.zeros((0, 1))
    assert bootstrap_effect(none, none, lambda means: means[..., 0]) == (Estimate(None), None)
    empty = np.zeros((5, 2))  # five empty responses: no token, no KL
    estimate, error = bootstrap_effect(empty, empty, lambda means: 1 - means[..., 1] / means[..., 0])
    assert (estimate.value, error, estimate.n_null) == (None, None, 5)


def test_too_few_decide_nothing() -> None:
    """However alike they are: two instructions, or two spans of one of two cells among hundreds of instructions."""
    one = np.ones((FEWEST - 1, 1))
    estimate, error = bootstrap_effect(one, one, lambda means: means[..., 0])
    assert (estimate.value, estimate.n, error) == (1.0, FEWEST - 1, None)
    assert decide(Effect(estimate, error, "paired test"), MORE, None, None) == "undecided"
    assert bootstrap_effect(np.ones((FEWEST, 1)), np.ones((FEWEST, 1)), lambda means: means[..., 0])[1] == 0
    spans = np.ones((300, 2))
    spans[2:, 1] = 0
    estimate, error = bootstrap_effect(spans * [1, 0], spans, lambda means: means[..., 0] - means[..., 1])
    assert (estimate.value, estimate.n, error) == (1.0, 300, None)


def test_neftune_is_compared_on_the_same_data() -> None:
    """Not with the largest subset that the plain method was used on, which improved data are compared with."""
    kept = {"model": "m", "seed": 0, "evalset": "e"}
    cells = [("alpaca", 1, "nft"), ("alpaca", 1, "sft"), ("alpaca", 9, "sft"), ("alpagasus", 2, "sft")]
    grid = [kept | {"dataset": d, "size": s, "method": m} for d, s, m in cells]
    found = [
        tuple((row["dataset"], row["size"], row["method"]) for row in pair)
        for pair in improvements("sft", first=True)(grid)
    ]
    assert found == [(cells[0], cells[1]), (cells[3], cells[2])]
    assert not list(improvements("lft", first=False)(grid))
