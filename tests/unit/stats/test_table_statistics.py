"""Means, shares and their intervals, compared with plain loops, scipy's bootstrap and its exact interval."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest, bootstrap, norm, t

from closerlook.stats import bootstrap as module
from closerlook.stats.bootstrap import RESAMPLES, SEED, Estimate, ratios
from closerlook.stats.proportions import proportions


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 300, n).astype(float)
    return rng.lognormal(0, 2, n) * counts, counts


@pytest.mark.parametrize("n", [2, 3, 17, 800])
def test_interval_is_scipys(n: int) -> None:
    """At the level of which the normal quantile is Student's, for the variance of samples instead of resamples."""
    sums, counts = drawn(n, n)
    level = 1 - 2 * norm.sf(t.isf(0.025, n - 1) * math.sqrt(n / (n - 1)))
    assert level > 0.95
    estimate = ratios(sums[:, None], counts[:, None])[0]
    expected = bootstrap(
        (sums, counts),
        lambda s, c, axis: s.sum(axis=axis) / c.sum(axis=axis),
        paired=True,
        n_resamples=RESAMPLES,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    # the same resamples summed in another order: nothing but float64 rounding lies between
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert estimate.value == pytest.approx(math.fsum(sums) / math.fsum(counts), rel=1e-12)
    assert (estimate.n, estimate.n_null) == (n, 0)


def test_chunks_draw_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    sums, counts = drawn(1, 50)
    whole = ratios(sums[:, None], counts[:, None])
    monkeypatch.setattr(module, "_CHUNK", 333)
    assert ratios(sums[:, None], counts[:, None])[0] == pytest.approx(whole[0], rel=1e-12)


def test_columns_do_not_touch_each_other() -> None:
    """Columns with different nulls are resampled separately."""
    rng = np.random.default_rng(0)
    sums, counts = rng.random((40, 5)), rng.integers(0, 4, (40, 5)).astype(float)
    sums[3, 2], sums[4, 2], sums[:, 4] = np.nan, np.inf, np.nan
    together = ratios(sums, counts)
    for column in range(5):
        alone = ratios(sums[:, [column]], counts[:, [column]])[0]
        assert together[column][3:] == alone[3:]
        if alone.value is not None:
            assert together[column] == pytest.approx(alone, rel=1e-12)
    assert together[4] == Estimate(None, None, None, 0, 40)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 12).flatmap(
        lambda n: st.tuples(
            arrays(np.float64, n, elements=st.floats(-1e30, 1e30) | st.just(math.nan)),
            arrays(np.float64, n, elements=st.integers(0, 50).map(float)),
        )
    )
)
def test_value_is_a_plain_loops(columns: tuple[np.ndarray, np.ndarray]) -> None:
    sums, counts = columns
    estimate = ratios(sums[:, None], counts[:, None])[0]
    kept = [(s, c) for s, c in zip(sums.tolist(), counts.tolist(), strict=True) if c > 0 and math.isfinite(s)]
    assert (estimate.n, estimate.n_null) == (len(kept), len(sums) - len(kept))
    if not kept:
        assert estimate[:3] == (None, None, None)
        return
    size = math.fsum(abs(s) for s, _ in kept) / math.fsum(c for _, c in kept)
    assert estimate.value == pytest.approx(
        math.fsum(s for s, _ in kept) / math.fsum(c for _, c in kept), abs=1e-12 * size
    )
    each = [s / c for s, c in kept]
    if len(set(each)) == 1:
        assert estimate.low is estimate.high is None
    elif estimate.low is not None:
        slack = 1e-9 * (size + max(map(abs, each)))
        assert min(each) - slack <= estimate.low <= estimate.high <= max(each) + slack


@pytest.mark.parametrize("value", [0.0, 0.1, 2.0, 1 / 3, 1e-200, -7e300])
def test_equal_responses_have_no_interval(value: float) -> None:
    """Whatever their number of tokens, and however sums of them are rounded."""
    counts = np.arange(1.0, 10)[:, None]
    estimate = ratios(value * counts, counts)[0]
    assert estimate == Estimate(pytest.approx(value, rel=1e-12), n=9)


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_a_share_of_responses_has_the_exact_interval(drawn: tuple[int, int]) -> None:
    """Clopper and Pearson's, which scipy has."""
    n, found = drawn
    estimate = proportions((np.arange(n) < found)[:, None], np.ones(1))[0]
    expected = binomtest(found, n).proportion_ci(method="exact")
    assert estimate.value == pytest.approx(found / n)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("found", [0.0, 1.0])
def test_of_what_all_or_none_have_each_response_counts_once(found: float) -> None:
    """A rule of three for clusters: 20 responses of 50 tokens each say as much as 20 tokens of one each."""
    counts = np.full((20, 1), 50.0)
    clustered, single = (proportions(found * each, each)[0] for each in (counts, counts / 50))
    assert clustered == single
    assert max(clustered.value - clustered.low, clustered.high - clustered.value) == pytest.approx(
        1 - 0.025 ** (1 / 20)
    )


def test_an_interval_widens_with_the_likeness_of_a_responses_tokens() -> None:
    """From independent tokens, which are as good as responses, to copies of one, which are one."""
    counts = np.full((40, 1), 25.0)
    alternating, all_or_none = np.arange(25 * 40).reshape(40, 25) % 2 == 0, np.arange(40) % 2 == 0
    mixed, copies = (
        proportions(each.reshape(40, -1).mean(axis=1)[:, None] * counts, counts)[0]
        for each in (alternating, all_or_none)
    )
    expected = binomtest(500, 1000).proportion_ci(method="exact")
    assert (mixed.low, mixed.high) == pytest.approx((expected.low, expected.high), abs=0.02)
    few = binomtest(20, 40).proportion_ci(method="exact")
    # Student's quantiles for 999 and 39 degrees of freedom make it wider than that of 40 responses of one token
    assert copies.low < few.low < few.high < copies.high
    assert copies.high - copies.low == pytest.approx(few.high - few.low, rel=0.05)


def test_shares_without_responses_or_of_one() -> None:
    assert proportions(np.empty((0, 1)), np.ones(1)) == [Estimate(None)]
    assert proportions(np.array([[2.0], [1.0], [np.nan]]), np.array([[2.0], [0.0], [1.0]])) == [
        Estimate(1.0, n=1, n_null=2)
    ]
    constant = proportions(np.full((9, 1), 1.0), np.full((9, 1), 3.0))[0]
    assert constant.low < 1 / 3 < constant.high


def test_a_grid_takes_seconds() -> None:
    """12 cells of 15 metrics over 800 responses take one or two seconds; the bound is for a busy machine."""
    rng = np.random.default_rng(0)
    begun = time.perf_counter()
    for _ in range(12):
        ratios(rng.random((800, 15)), rng.integers(1, 300, (800, 1)))
    assert time.perf_counter() - begun < 20
