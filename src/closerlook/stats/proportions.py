"""Shares with exact intervals, which hold near 0 and 1 too, where those of the bootstrap do not."""

import numpy as np

from closerlook.stats.bootstrap import CONFIDENCE, Estimate, Ratio, student

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
    columns = zip(sums.T, counts.T, strict=True)
    return [Ratio.of(_proportion(*each), *each, is_share=True) for each in columns]


def _proportion(sums: np.ndarray, counts: np.ndarray) -> Estimate:
    valid = np.isfinite(sums) & (counts > 0)
    n, null = int(valid.sum()), int((~valid).sum())
    if not n:
        return Estimate(None, n_null=null)
    sums, counts = sums[valid], counts[valid]
    share = float(np.clip(sums.sum() / counts.sum(), 0, 1))
    if n < 2:
        return Estimate(share, n=n, n_null=null)
    count = float(counts.sum())
    variance = n / (n - 1) * float(np.square(sums - share * counts).sum()) / count**2
    return Estimate(share, *exact_interval(share, variance * student(n - 1) ** 2, count, n), n, null)


def difference_of_shares(first: Estimate, second: Estimate) -> Estimate:
    """The difference between shares of different units, with its interval from theirs (Newcombe 1998, method 10).

    Each end is as far off as the ends of both shares on that side together, as independent errors. Without an interval of either,
    the difference has none.
    """
    if first.value is None or second.value is None:
        return Estimate(None, n_null=first.n + second.n)
    value, n = first.value - second.value, first.n + second.n
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return Estimate(value, n=n)
    below = np.hypot(first.value - first.low, second.high - second.value)
    above = np.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, float(value - below), float(value + above), n)


def exact_interval(share: float, half_squared: float, count: float, n: int) -> tuple[float, float]:
    """The exact interval of a share of a count in n responses, from the squared half of the interval of a mean."""
    from scipy.special import betaincinv  # slow to import

    size = float(n)
    independent = share * (1 - share) / (count - 1)
    if independent > 1e-12 / count:  # else none or all, but for rounding
        size = count / max(1.0, half_squared / (independent * student(count - 1) ** 2))
    found = share * size
    missing = size - found
    low = betaincinv(found, missing + 1, TAIL) if found > 1e-9 else 0.0
    high = betaincinv(found + 1, missing, 1 - TAIL) if missing > 1e-9 else 1.0
    return float(low), float(high)
