"""Shares with exact intervals, which hold near 0 and 1 too, where those of the bootstrap do not."""

import numpy as np

from closerlook.stats.bootstrap import CONFIDENCE, Estimate

TAIL = (1 - CONFIDENCE) / 2


def proportions(sums: np.ndarray, counts: np.ndarray) -> list[Estimate]:
    """The ratio of sums of each column, which is a share, with its interval by Korn and Graubard (1998).

    sums: [responses, columns] float64, each from 0 to its count; the response is null if not finite. counts: [responses,
    columns] or [responses, 1], number of tokens, spans or 1; the response is null if 0. Fewer than two have no interval.

    The interval is that of Clopper and Pearson (1934) for a sample of effective size m, so it is theirs where each response
    counts once. Tokens or spans of a response are not independent: if the variance of the share p between responses,

        v = n / (n - 1) sum (sums[i] - p counts[i])² / c²,   n responses, c = sum counts,

    is d times that of independent ones, p (1 - p) / (c - 1), the size is m = c / d, reduced by the squared ratio of Student's
    quantiles for c - 1 and n - 1 degrees of freedom, and at most c. If p is 0 or 1, v says nothing, and m = n.
    """
    sums = np.asarray(sums, dtype=np.float64)
    counts = np.broadcast_to(np.asarray(counts, dtype=np.float64), sums.shape)
    return [_proportion(*columns) for columns in zip(sums.T, counts.T, strict=True)]


def _proportion(sums: np.ndarray, counts: np.ndarray) -> Estimate:
    valid = np.isfinite(sums) & (counts > 0)
    n, null = int(valid.sum()), int((~valid).sum())
    if not n:
        return Estimate(None, n_null=null)
    sums, counts = sums[valid], counts[valid]
    share = float(np.clip(sums.sum() / counts.sum(), 0, 1))
    if n < 2:
        return Estimate(share, n=n, n_null=null)
    variance = n / (n - 1) * float(np.square(sums - share * counts).sum()) / float(counts.sum()) ** 2
    return Estimate(share, *_exact(share, _effective_size(share, variance, n, float(counts.sum()))), n, null)


def _effective_size(share: float, variance: float, n: int, count: float) -> float:
    from scipy.special import stdtrit  # slow to import, and every job imports this module

    independent = share * (1 - share) / (count - 1)
    if independent < 1e-12 / count:  # none or all, but for rounding
        return n
    quantiles = float(stdtrit(count - 1, TAIL) / stdtrit(n - 1, TAIL))
    return count / max(1.0, variance / independent / quantiles**2)


def _exact(share: float, size: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share, for a size that need not be whole."""
    from scipy.special import betaincinv

    found = share * size
    missing = size - found
    low = betaincinv(found, missing + 1, TAIL) if found > 1e-9 else 0.0
    high = betaincinv(found + 1, missing, 1 - TAIL) if missing > 1e-9 else 1.0
    return float(low), float(high)
