"""Length control, permutation test, Holm and kappa, compared with brute force."""

import math
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, permutation_test, spearmanr

from closerlook.report.tables.agreement import NAMED, compare
from closerlook.stats.bootstrap import Estimate, ratios
from closerlook.stats.length_control import LengthControl, control_length
from closerlook.stats.paired_tests import holm, p_value

NAN = math.nan
SCALE = (1.0, 5.0)
UNLIMITED = (-math.inf, math.inf)


def length_controlled(scores: np.ndarray, lengths: np.ndarray) -> list[Estimate]:
    return control_length(scores, lengths, SCALE).cells


def least_squares(scores: np.ndarray, lengths: np.ndarray) -> list[float]:
    """The regression of the docstring, with a dummy variable per cell and standardized length, solved by LAPACK; its slope."""
    scored = np.isfinite(scores) & np.isfinite(lengths)
    rows, cells = np.nonzero(scored)
    x = lengths[scored]
    z = (x - x.mean()) / (x.std() or 1)
    used = sorted(set(cells.tolist()))
    design = np.column_stack([*((cells == cell).astype(float) for cell in used), z])
    *fitted, slope = np.linalg.lstsq(design, scores[rows, cells], rcond=None)[0]
    by_cell = dict(zip(used, fitted, strict=True))
    return [*(by_cell.get(cell, NAN) for cell in range(scores.shape[1])), slope / (x.std() or 1)]


def judged(seed: int, n: int, cells: int, slope: float = 0.8, null: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    lengths = rng.normal(np.linspace(5, 6, cells), 1, (n, cells))
    scores = np.clip(np.round(1 + slope * (lengths - 3) + rng.normal(0, 0.7, (n, cells))), 1, 5)
    return np.where(rng.random((n, cells)) < null, NAN, scores), lengths


@pytest.mark.parametrize(("n", "cells"), [(2, 1), (5, 3), (60, 1), (60, 4), (400, 12)])
def test_length_control_is_least_squares(n: int, cells: int) -> None:
    scores, lengths = judged(n, n, cells)
    lengths[0, 0] = NAN  # an instruction that the first cell has no response to
    actual, slope = control_length(scores, lengths, UNLIMITED)
    *expected, expected_slope = least_squares(scores, lengths)
    mean = lengths[np.isfinite(scores) & np.isfinite(lengths)].mean()
    for estimate, value, column, size in zip(actual, expected, scores.T, lengths.T, strict=True):
        scored = np.isfinite(column) & np.isfinite(size)
        assert estimate.n == int(scored.sum())
        assert estimate.n_null == int((np.isnan(column) & np.isfinite(size)).sum())
        low, high = np.quantile(size[scored], [0.025, 0.975]) if scored.any() else (0, 0)
        # both solve the same equations in float64; the condition number of the dummies is small
        assert estimate.value == (pytest.approx(value, abs=1e-9) if low <= mean <= high else None)
    if slope.value is not None:
        assert slope.value == pytest.approx(expected_slope, abs=1e-9)
    else:
        assert n * cells <= 2


def test_length_control_takes_length_away() -> None:
    """Two cells of equal quality, one with longer responses: different means, equal values with length control."""
    rng = np.random.default_rng(0)
    lengths = np.stack([rng.normal(5, 0.5, 800), rng.normal(6, 0.5, 800)], axis=1)
    scores = 3 + 0.6 * (lengths - 5.5) + rng.normal(0, 0.3, lengths.shape)
    raw = scores.mean(axis=0)
    one, other = length_controlled(scores, lengths)
    assert raw[1] - raw[0] > 0.5
    assert abs(other.value - one.value) < 0.05
    assert one.low < 3 < one.high or abs(one.value - 3) < 0.05


def test_beyond_the_lengths_of_a_cell_nothing_is_said() -> None:
    """Cells of 50 and of 320 characters: at the mean length, 126 characters, neither has a response."""
    rng = np.random.default_rng(2)
    lengths = np.log2(1 + rng.normal([50.0, 320.0], 5, (200, 2)))
    scores = np.clip(3 + 3 * (lengths - lengths.mean(axis=0)) + rng.normal(0, 0.3, lengths.shape), *SCALE)
    cells, slope = control_length(scores, lengths, SCALE)
    assert cells == [Estimate(None, n=200)] * 2
    assert slope.low < 3 < slope.high or slope.value == pytest.approx(3, abs=0.2)


def test_length_control_stays_on_the_scale() -> None:
    """A cell of nothing but 5 has no slope of its own, but that of the other would make it better still at the mean length."""
    rng = np.random.default_rng(3)
    lengths = rng.normal([5.0, 6.0], 1, (400, 2))
    scores = np.clip(np.round(np.stack([np.full(400, 5.0), 3 + (lengths[:, 1] - 6)], axis=1)), *SCALE)
    limited, unlimited = (control_length(scores, lengths, scale)[0] for scale in (SCALE, UNLIMITED))
    assert max(end for cell in unlimited for end in cell[:3] if end) > 5
    for cell in limited:
        assert 1 <= cell.low <= cell.value <= cell.high <= 5


def test_length_control_of_quality_alone_changes_nothing() -> None:
    """Scores that differ only between cells do not depend on length, however the cells' lengths differ."""
    lengths = np.random.default_rng(1).normal([6.0, 7.0], 1, (50, 2))
    actual = length_controlled(np.broadcast_to([2.0, 5.0], (50, 2)), lengths)
    assert [estimate.value for estimate in actual] == pytest.approx([2.0, 5.0], abs=1e-12)


def test_equal_lengths_leave_the_mean() -> None:
    scores = judged(3, 9, 2)[0]
    cells, slope = control_length(scores, np.full((9, 2), 3.0), SCALE)
    for estimate, column in zip(cells, scores.T, strict=True):
        assert estimate.value == pytest.approx(np.nanmean(column), abs=1e-12)
    assert slope == Estimate(None, n=9)
    # No response of either cell has the mean length of both.
    assert control_length(scores, np.broadcast_to([3.0, 5.0], (9, 2)), SCALE).cells[0].value is None


def test_without_scores_there_is_nothing_to_control() -> None:
    nothing = control_length(np.full((4, 2), NAN), np.ones((4, 2)), SCALE)
    assert nothing == LengthControl([Estimate(None, n_null=4)] * 2, Estimate(None, n_null=8))
    scores = np.array([[NAN, 4.0]])
    empty, one = length_controlled(scores, np.array([[2.0, 3.0]]))
    assert empty == Estimate(None, n_null=1)
    assert one == Estimate(4.0, n=1)  # one response has no interval
    assert length_controlled(np.empty((0, 1)), np.empty((0, 1))) == [Estimate(None)]


def test_length_control_interval_is_that_of_the_mean_where_length_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    scores, lengths = rng.integers(1, 6, (500, 1)).astype(float), rng.normal(0, 1, (500, 1))
    controlled, raw = length_controlled(scores, lengths)[0], ratios(scores, np.ones((500, 1)))[0]
    # a slope of about 0 takes away about none of the variance: the widths differ by the chance correlation squared
    assert controlled.high - controlled.low == pytest.approx(raw.high - raw.low, rel=0.05)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(-4, 4), max_size=11))
def test_p_is_the_share_of_all_signs(differences: list[int]) -> None:
    actual = p_value(np.array(differences, dtype=float))
    if not differences:
        assert actual is None
        return
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    assert actual == pytest.approx(sum(s >= abs(sum(differences)) for s in sums) / len(sums), rel=1e-12)


def test_p_is_scipys_and_has_no_floor() -> None:
    differences = np.random.default_rng(0).integers(-3, 5, 12).astype(float)
    reference = permutation_test(
        (differences, np.zeros(12)), lambda x, y: (x - y).mean(), permutation_type="samples", n_resamples=math.inf
    )
    assert p_value(differences) == pytest.approx(reference.pvalue, rel=1e-12)
    assert p_value(np.ones(800)) == pytest.approx(2.0**-799, rel=1e-9)
    assert p_value(np.zeros(5)) == 1.0
    assert 0.9 < p_value(np.tile([4.0, -4.0, 3.0, -3.0, 0.0], 1000)) <= 1.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm(p_values: list[float]) -> None:
    """The step-down procedure rejects the same tests as the corrected p-values."""
    corrected = holm(p_values)
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for level in (0.01, 0.05, 0.5):
        rejected = set()
        for step, index in enumerate(order):
            if p_values[index] * (len(p_values) - step) > level:
                break
            rejected.add(index)
        assert {i for i, p in enumerate(corrected) if p <= level} == rejected
    assert all(p <= c <= 1 for p, c in zip(p_values, corrected, strict=True))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def kappa(one: list[int], other: list[int]) -> float:
    """Cohen's weighted kappa from the tables of observed and expected pairs."""
    n = len(one)
    actual = sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / n
    expected = sum((i - j) ** 2 * (one.count(i) / n) * (other.count(j) / n) for i in range(1, 6) for j in range(1, 6))
    return 1 - actual / expected if expected else NAN


def compared(one: np.ndarray, other: np.ndarray) -> dict[tuple[str, str], Estimate]:
    names = [f"m/it/c{i}" for i in range(one.shape[1])]
    return {(pair, name): estimate for pair, name, estimate in compare(names, one, other)}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 25), st.integers(1, 6), st.sampled_from([0.0, 0.3, 0.9]))
def test_agreement_by_brute_force(seed: int, n: int, cells: int, null: float) -> None:
    rng = np.random.default_rng(seed)
    one, other = (np.where(rng.random((n, cells)) < null, NAN, rng.integers(1, 6, (n, cells))) for _ in range(2))
    actual = compared(one, other)
    both = [
        [(int(a), int(b)) for a, b in zip(x, y, strict=True) if not (math.isnan(a) or math.isnan(b))]
        for x, y in zip(one.T, other.T, strict=True)
    ]
    pairs = [pair for cell in both for pair in cell]
    assert actual["", "responses"].value == len(pairs)
    assert actual["", "responses_null"].value == n * cells - len(pairs)
    if not pairs:
        assert actual["", "kappa"].value is actual["", "mean_difference"].value is None
        return
    expected = kappa([a for a, _ in pairs], [b for _, b in pairs])
    if math.isnan(expected):
        assert actual["", "kappa"].value is None
    else:
        assert actual["", "kappa"].value == pytest.approx(expected, abs=1e-12)
    assert actual["", "mean_difference"].value == pytest.approx(sum(b - a for a, b in pairs) / len(pairs), abs=1e-12)
    means = {i: [sum(scores) / len(cell) for scores in zip(*cell, strict=True)] for i, cell in enumerate(both) if cell}
    opposite = [
        (i, j) for i, j in combinations(means, 2) if (means[i][0] - means[j][0]) * (means[i][1] - means[j][1]) < 0
    ]
    assert actual["", "pairs_reversed"].value == len(opposite)
    named = {pair for pair, name in actual if name == "gap"}
    assert len(named) == min(len(opposite), NAMED)
    for pair in named:
        better, worse = (int(name.removeprefix("m/it/c")) for name in pair.split(" over "))
        assert actual[pair, "gap"].value == pytest.approx(means[better][0] - means[worse][0], abs=1e-12)
        assert actual[pair, "gap_against"].value == pytest.approx(means[better][1] - means[worse][1], abs=1e-12)
        assert actual[pair, "gap"].value > 0 > actual[pair, "gap_against"].value
    columns = list(zip(*means.values(), strict=True))
    if len(means) > 1 and all(len(set(column)) > 1 for column in columns):
        assert actual["", "spearman"].value == pytest.approx(spearmanr(*columns).statistic, abs=1e-12)
        assert actual["", "kendall"].value == pytest.approx(kendalltau(*columns).statistic, abs=1e-12)
    else:
        assert actual["", "spearman"].value is None


def test_a_judge_agrees_with_itself() -> None:
    scores = np.random.default_rng(0).integers(1, 6, (40, 5)).astype(float)
    actual = compared(scores, scores)
    assert actual["", "kappa"][:3] == (1.0, None, None)  # no disagreement shows how much there may be
    assert actual["", "spearman"].value == pytest.approx(1.0)
    assert actual["", "pairs_reversed"].value == 0
    assert actual["", "kappa"].n == 40
    constant = compared(np.full((9, 2), 3.0), np.full((9, 2), 3.0))
    assert constant["", "kappa"].value is constant["", "spearman"].value is None  # nothing that chance could not do
