"""Length-controlled scores, since judges prefer long answers (as in AlpacaEval 2, Dubois et al. 2024)."""

from typing import NamedTuple

import numpy as np

from closerlook.stats.bootstrap import Estimate, bootstrap

CENTRAL = 0.95
"""The share of a cell's responses, those of middle length, among whose lengths the reference length must be."""


class LengthControl(NamedTuple):
    """cells: the length-controlled mean of each cell. slope: change of the score per unit of length, within cells."""

    cells: list[Estimate]
    slope: Estimate


def control_length(scores: np.ndarray, lengths: np.ndarray, scale: tuple[float, float]) -> LengthControl:
    """For each cell, the mean score that its responses would have at the mean length of all responses.

    Least squares over the scored responses of all cells, with an intercept per cell and one slope:

        score[i, c] = a[c] + b (length[i, c] - m) + error,  m = mean length over all,

    so b depends only on differences within cells, not on better cells being longer. The value is the prediction at m,
    a[c] = mean score[., c] - b (mean length[., c] - m). If lengths within cells are all equal, b is None, and 0 in the values.
    AlpacaEval 2 fits a logistic regression, since its data are preferences.

    The line says nothing beyond the lengths that a cell has: its value is None if m is outside its CENTRAL lengths. Values and
    intervals are limited to the scale. An instruction that makes responses both longer and better or worse changes b too.

    scores, lengths: [instructions, cells] float64, NaN if a cell has no score or no response; lengths in any unit. scale: lowest
    and highest score. Intervals resample instructions with all their responses and fit each resample.
    """
    scored = np.isfinite(scores) & np.isfinite(lengths)
    counts, nulls = scored.sum(axis=0).tolist(), (np.isfinite(lengths) & ~scored).sum(axis=0).tolist()
    if not scored.any():
        return LengthControl([Estimate(None, n_null=null) for null in nulls], Estimate(None, n_null=sum(nulls)))
    x = np.where(scored, lengths - lengths[scored].mean(), 0.0)
    s = np.where(scored, scores, 0.0)
    sums = [scored.astype(np.float64), s, x, x * x, x * s]
    instructions = int(scored.any(axis=1).sum())
    *cells, slope = bootstrap(sums, _fit, [*counts, instructions], [*nulls, len(scored) - instructions])
    tails = np.array([(1 - CENTRAL) / 2, (1 + CENTRAL) / 2])
    for cell, (estimate, column) in enumerate(zip(cells, scored.T, strict=True)):
        low, high = np.quantile(x[column, cell], tails) if estimate.n else (0.0, 0.0)
        cells[cell] = (
            _limit(estimate, *scale) if low <= 0 <= high else Estimate(None, n=estimate.n, n_null=estimate.n_null)
        )
    return LengthControl(cells, slope)


def _fit(n: np.ndarray, s: np.ndarray, x: np.ndarray, xx: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """Predictions at the mean length, NaN for a cell without a response; then the slope, NaN if undefined: [fits, cells + 1].

    n, s, x, xx, xs: [fits, cells], totals of 1, s, x, x², xs over the scored responses.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_s, mean_x = s / n, x / n
        within = np.where(n > 0, xs - mean_x * s, 0.0).sum(axis=1)
        spread = np.where(n > 0, xx - mean_x * x, 0.0).sum(axis=1)
        is_defined = spread > 1e-9 * xx.sum(axis=1)  # below that, only rounding errors
        slope = np.where(is_defined, within / spread, np.nan)
        return np.column_stack([mean_s - np.nan_to_num(slope)[:, None] * mean_x, slope])


def _limit(estimate: Estimate, low: float, high: float) -> Estimate:
    value, *ends = (None if number is None else min(max(number, low), high) for number in estimate[:3])
    return estimate._replace(value=value, low=ends[0], high=ends[1])
