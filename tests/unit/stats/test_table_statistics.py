"""Means and intervals, compared with plain loops and scipy's bootstrap."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import bootstrap

from closerlook.stats import bootstrap as module
from closerlook.stats.bootstrap import RESAMPLES, SEED, Estimate, ratios


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 300, n).astype(float)
    return rng.lognormal(0, 2, n) * counts, counts


@pytest.mark.parametrize("n", [2, 3, 17, 800])
def test_interval_is_scipys(n: int) -> None:
    sums, counts = drawn(n, n)
    estimate = ratios(sums[:, None], counts[:, None])[0]
    expected = bootstrap(
        (sums, counts),
        lambda s, c, axis: s.sum(axis=axis) / c.sum(axis=axis),
        paired=True,
        n_resamples=RESAMPLES,
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
    if len(kept) == 1:
        assert estimate.low is estimate.high is None
    else:
        each = [s / c for s, c in kept]
        slack = 1e-9 * (size + max(map(abs, each)))
        assert min(each) - slack <= estimate.low <= estimate.high <= max(each) + slack


def test_equal_responses_have_an_interval_without_width() -> None:
    estimate = ratios(np.full((9, 1), 6.0), np.full((9, 1), 3.0))[0]
    assert estimate[:3] == (2.0, 2.0, 2.0)


def test_a_grid_takes_seconds() -> None:
    """12 cells of 15 metrics over 800 responses take one or two seconds; the bound is for a busy machine."""
    rng = np.random.default_rng(0)
    begun = time.perf_counter()
    for _ in range(12):
        ratios(rng.random((800, 15)), rng.integers(1, 300, (800, 1)))
    assert time.perf_counter() - begun < 20
