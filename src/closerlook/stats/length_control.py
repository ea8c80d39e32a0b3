"""Scores with the length of the response regressed out: judges like long answers (AlpacaEval 2, Dubois et al. 2024)."""

import numpy as np

from closerlook.stats.bootstrap import Estimate, bootstrap


def length_controlled(scores: np.ndarray, lengths: np.ndarray) -> list[Estimate]:
    """For each cell, the mean score it would have if its responses were of the mean length of all.

    Least squares over the scored responses of all cells, with an intercept per cell and one slope:

        score[i, c] = a[c] + b z[i, c] + error,  z = (length - its mean over all) / its standard deviation over all,

    so b is told from within cells alone: a cell that is better and longer does not lend its quality to length. The value is
    the prediction at z = 0, a[c] = mean score[., c] - b mean z[., c]. (Dividing by the standard deviation leaves it as it is.)
    Where lengths within cells are all equal, b is 0. AlpacaEval 2 fits a logistic regression of preferences against a
    baseline; scores from 1 to 5 need none.

    scores, lengths: [instructions, cells] float64, NaN where a cell has no score or no response; lengths in any unit.
    Intervals resample instructions, with all their responses, and fit each resample anew.
    """
    there = np.isfinite(scores) & np.isfinite(lengths)
    counts, nulls = there.sum(axis=0), (np.isfinite(lengths) & ~there).sum(axis=0)
    if not there.any():
        return [Estimate(None, n_null=int(null)) for null in nulls]
    z = np.where(there, lengths - lengths[there].mean(), 0.0)
    z /= z[there].std() or 1.0
    s = np.where(there, scores, 0.0)
    sums = [there.astype(np.float64), s, z, z * z, z * s]
    return bootstrap(sums, _fit, counts.tolist(), nulls.tolist())


def _fit(n: np.ndarray, s: np.ndarray, z: np.ndarray, zz: np.ndarray, zs: np.ndarray) -> np.ndarray:
    """Predictions at the mean length: [fits, cells], NaN for a cell without a response in it.

    n, s, z, zz, zs: [fits, cells], totals of 1, s, z, z², zs over the instructions with a score.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_s, mean_z = s / n, z / n
        within = np.where(n > 0, zs - mean_z * s, 0.0).sum(axis=1)
        spread = np.where(n > 0, zz - mean_z * z, 0.0).sum(axis=1)
        known = spread > 1e-9 * zz.sum(axis=1)  # beneath it, nothing but rounding
        slope = np.where(known, within / spread, 0.0)
        return mean_s - slope[:, None] * mean_z
