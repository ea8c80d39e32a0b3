"""Several trainings of one cell, which differ in their seed, or several pairs of cells: their mean, and how far it may be off."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from closerlook.stats.bootstrap import CONFIDENCE, Estimate, Ratio, Units, estimate_of
from closerlook.stats.proportions import exact_interval

NORMAL = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
"""Standard errors in half of an interval."""
SMALLEST = 1e-100
"""A smaller p is given as this one."""


class Pooled(NamedTuple):
    """The mean over trainings, with an interval that covers other seeds and other responses.

    sd: standard deviation between trainings. trainings: number of them. response_variance: that part of the mean's variance.
    explained: that part of the variance between trainings which their responses alone would bring about.
    """

    estimate: Estimate
    sd: float
    trainings: int
    response_variance: float
    explained: float

    @property
    def varies(self) -> bool:
        """Whether anything but rounding shows how far off the mean may be."""
        return self.sd**2 + self.response_variance > (1e-12 * (self.estimate.value or 0.0)) ** 2

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return float(sum(self._variances)) ** 0.5

    @property
    def spread(self) -> float:
        """Standard deviation between trainings beyond what their responses explain (moment estimate; 0 if they explain all)."""
        return max(0.0, self.sd**2 - self.explained) ** 0.5

    @property
    def _variances(self) -> list[float]:
        return [self.sd**2 / self.trainings, self.response_variance]

    @property
    def _freedoms(self) -> list[float]:
        return [self.trainings - 1, max(1, self.estimate.n - 1)]

    def reach(self, p: float) -> float:
        """How far the mean must be from a bound for this one-sided p."""
        return half_of_interval(p, self._variances, self._freedoms)

    def p_above(self, bound: float) -> float:
        """One-sided p of a mean this far above a bound: the level at which the interval ends there. The mean must vary."""
        return tail((self.estimate.value or 0.0) - bound, self._variances, self._freedoms)

    @property
    def p(self) -> float | None:
        """Two-sided p of a mean of 0; None if nothing varies."""
        return 2 * min(self.p_above(0), 1 - self.p_above(0)) if self.varies else None


def pool(trainings: Sequence[Estimate]) -> Pooled | None:
    """Pool the estimates of trainings that answer the same instructions; None if fewer than two have a value.

    With values v[s] of k trainings, the variance of their mean is that of the seeds and that of the responses,

        var(v) / k + n / (n - 1) sum_i (mean_s (sums[s, i] - v[s] counts[s, i]) / sum_i counts[s, i])².

    The second term is that of the mean over trainings of each response's influence, since all trainings answer the same
    instructions; without units, it is the mean of the squared standard errors, as if all responses were the same. A response's
    own noise is in both terms, so the interval is a little too wide. With Student's quantiles t for k - 1 and n - 1 degrees of
    freedom, half of the interval is the root of t[k-1]² times the first and t[n-1]² times the second term (Graybill and Wang
    1980); Satterthwaite's degrees of freedom are too many for two trainings. The interval of a share is the exact one with this
    half. The estimate has units again, so that means can be pooled.
    """
    pooled = [estimate for estimate in trainings if estimate.value is not None]
    k = len(pooled)
    if k < 2:
        return None
    values = np.array([estimate.value for estimate in pooled], dtype=np.float64)
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    n, null = max(estimate.n for estimate in pooled), max(estimate.n_null for estimate in pooled)
    units = [each.units for each in pooled if isinstance(each, Ratio) and each.units]
    aligned = len(units) == k and len({len(each.sums) for each in units}) == 1
    influences = _influences(units) if aligned else np.zeros((k, 0))
    valid = np.any([each.counts > 0 for each in units], axis=0) if aligned else np.zeros(0, dtype=bool)
    responses, explained = _response_variances(pooled, influences, int(valid.sum()))
    half = half_of_interval((1 - CONFIDENCE) / 2, [sd**2 / k, responses], [k - 1, max(1, n - 1)])
    low, high = mean - half, mean + half
    if len(units) == k and all(each.is_share for each in units) and n > 1:
        low, high = exact_interval(mean, half**2, float(sum(each.counts.sum() for each in units)), n)
    estimate = estimate_of(mean, (low, high), n, null)
    if aligned:  # as values of the responses whose mean is the estimate
        sums = np.where(valid, mean + valid.sum() * influences.mean(axis=0), np.nan)
        estimate = Ratio.of(estimate, sums, valid.astype(np.float64))
    return Pooled(estimate, sd, k, responses, explained)


class Contrast(NamedTuple):
    """A difference between two ways of training. p: two-sided, of a difference of 0; None if one of them is one training."""

    estimate: Estimate
    p: float | None


def contrast(first: Sequence[Ratio], second: Sequence[Ratio]) -> Contrast:
    """The mean of some trainings minus that of others, all of which answer the same instructions.

    Trainings of the two are not pairs, responses are: the variance is that of `pool`, with the sum of both means' variances over
    seeds, of Satterthwaite's degrees of freedom as in Welch's test, and with the differences of both means of each response's
    influences. One training has no variance over seeds: the interval then covers other responses alone. Fewer than two responses
    have no interval.

    first, second: at least one estimate each, with the same units. Raises ValueError if units differ.
    """
    sides = [[each.units for each in side if each.units] for side in (first, second)]
    counts = sides[0][0].counts
    if any(not np.array_equal(each.counts, counts) for side in sides for each in side):
        raise ValueError("trainings to compare have different units")
    values = [np.array([each.sums.sum() / each.counts.sum() for each in side]) for side in sides]
    difference, n = float(values[0].mean() - values[1].mean()), int((counts > 0).sum())
    if n < 2:
        return Contrast(Estimate(difference, n=n, n_null=len(counts) - n), None)
    of_seeds = [side.var(ddof=1) / len(side) if len(side) > 1 else 0.0 for side in values]
    squares = sum(variance**2 / (len(side) - 1) for variance, side in zip(of_seeds, values, strict=True) if variance)
    freedoms = [sum(of_seeds) ** 2 / squares if squares else 1.0, n - 1]
    moves = [_influences(side).mean(axis=0) for side in sides]
    variances = [float(sum(of_seeds)), _variance(moves[0] - moves[1], n)]
    half = half_of_interval((1 - CONFIDENCE) / 2, variances, freedoms)
    ends = np.array([difference - half, difference + half])
    if all(each.is_share for side in sides for each in side):
        ends = ends.clip(-1, 1)
    estimate = estimate_of(difference, ends.tolist(), n, len(counts) - n)
    untested = min(map(len, values)) == 1 or half < 1e-12  # one training, or nothing but rounding varies
    return Contrast(estimate, None if untested else 2 * tail(abs(difference), variances, freedoms))


def tail(distance: float, variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """One-sided p of a mean this far above a bound: the level at which its interval ends there. Some variance must not be 0."""
    from scipy.optimize import brentq  # slow to import, and every job imports this module

    if half_of_interval(SMALLEST, variances, freedoms) <= abs(distance):
        beyond = SMALLEST
    elif distance:
        ends = np.log(SMALLEST), np.log(0.5)
        root = brentq(lambda log_p: half_of_interval(np.exp(log_p), variances, freedoms) - abs(distance), *ends)
        beyond = float(np.exp(root))
    else:
        beyond = 0.5
    return beyond if distance >= 0 else 1 - beyond


def half_of_interval(p: float, variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """Half of the interval of level 1 - 2 p: the root of the sum of squared quantiles times variances.

    variances, freedoms: the parts of the mean's variance, independent of each other, and their degrees of freedom.
    """
    from scipy.special import stdtrit  # slow to import, and every job imports this module

    return float(np.array(variances) @ stdtrit(freedoms, p) ** 2) ** 0.5


def _influences(units: Sequence[Units]) -> np.ndarray:
    """What each response adds to the error of each training: [trainings, responses]; 0 of a response that is null."""
    return np.array([each.influences for each in units])


def _variance(influence: np.ndarray, n: int) -> float:
    """The variance of a mean of n responses, from what each adds to its error: [responses]."""
    return n / (n - 1) * float(np.square(influence).sum()) if n > 1 else 0.0


def _response_variances(trainings: list[Estimate], influences: np.ndarray, n: int) -> tuple[float, float]:
    """The variance of the mean that its responses explain, and that between trainings."""
    if influences.size:
        mean = influences.mean(axis=0)
        return _variance(mean, n), _variance((influences - mean).ravel(), n) / (len(trainings) - 1)
    widths = [each.high - each.low for each in trainings if each.low is not None and each.high is not None]
    variance = float(np.mean(np.square(widths))) / (2 * NORMAL) ** 2 if widths else 0.0
    return variance, variance
