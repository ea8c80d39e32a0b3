"""Length-controlled scores, since judges prefer long answers (as in AlpacaEval 2, Dubois et al. 2024)."""

import numpy as np

from closerlook.stats.bootstrap import Estimate, bootstrap


def length_controlled(scores: np.ndarray, lengths: np.ndarray) -> list[Estimate]:
    """For each cell, the mean score that its responses would have at the mean length of all responses.

    Least squares over the scored responses of all cells, with an intercept per cell and one slope:

        score[i, c] = a[c] + b z[i, c] + error,  z = (length - its mean over all) / its standard deviation over all,

    so b depends only on differences within cells, not on better cells being longer. The value is the prediction at z = 0,
    a[c] = mean score[., c] - b mean z[., c]. If lengths within cells are all equal, b is 0. AlpacaEval 2 fits a logistic
    regression, since its data are preferences.

    scores, lengths: [instructions, cells] float64, NaN if a cell has no score or no response; lengths in any unit.
    Intervals resample instructions with all their responses and fit each resample.
    """
    scored = np.isfinite(scores) & np.isfinite(lengths)
    counts, nulls = scored.sum(axis=0), (np.isfinite(lengths) & ~scored).sum(axis=0)
    if not scored.any():
        return [Estimate(None, n_null=int(null)) for null in nulls]
    z = np.where(scored, lengths - lengths[scored].mean(), 0.0)
    z /= z[scored].std() or 1.0
    s = np.where(scored, scores, 0.0)
    sums = [scored.astype(np.float64), s, z, z * z, z * s]
    return bootstrap(sums, _fit, counts.tolist(), nulls.tolist())


def _fit(n: np.ndarray, s: np.ndarray, z: np.ndarray, zz: np.ndarray, zs: np.ndarray) -> np.ndarray:
    """Predictions at the mean length, [fits, cells]; NaN for a cell without a response.

    n, s, z, zz, zs: [fits, cells], totals of 1, s, z, z², zs over the scored responses.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_s, mean_z = s / n, z / n
        within = np.where(n > 0, zs - mean_z * s, 0.0).sum(axis=1)
        spread = np.where(n > 0, zz - mean_z * z, 0.0).sum(axis=1)
        is_defined = spread > 1e-9 * zz.sum(axis=1)  # below that, only rounding errors
        slope = np.where(is_defined, within / spread, 0.0)
        return mean_s - slope[:, None] * mean_z
