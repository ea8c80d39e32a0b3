"""Several trainings of one cell, which differ in their seed, or several pairs of cells: their mean, and how far it may be off."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from closerlook.stats.bootstrap import CONFIDENCE, Estimate, Ratio, Units, estimate_of, student
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
        return float(self.sd**2 / self.trainings + self.response_variance) ** 0.5

    @property
    def spread(self) -> float:
        """Standard deviation between trainings beyond what their responses explain (moment estimate; 0 if they explain all)."""
        return max(0.0, self.sd**2 - self.explained) ** 0.5

    def reach(self, tail: float) -> float:
        """How far the mean must be from a bound for a one-sided p of `tail`: half of the interval of level 1 - 2 tail."""
        from scipy.special import stdtrit  # slow to import, and every job imports this module

        freedoms = [self.trainings - 1, max(1, self.estimate.n - 1)]
        variances = np.array([self.sd**2 / self.trainings, self.response_variance])
        return float(variances @ stdtrit(freedoms, tail) ** 2) ** 0.5

    def p_above(self, bound: float) -> float:
        """One-sided p of a mean this far above a bound: the level at which the interval ends there. The mean must vary."""
        from scipy.optimize import brentq  # slow to import, and every job imports this module

        distance = (self.estimate.value or 0.0) - bound
        if self.reach(SMALLEST) <= abs(distance):
            tail = SMALLEST
        elif distance:
            log_tail = brentq(lambda log_p: self.reach(np.exp(log_p)) - abs(distance), np.log(SMALLEST), np.log(0.5))
            tail = float(np.exp(log_tail))
        else:
            tail = 0.5
        return tail if distance >= 0 else 1 - tail

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
    influences, valid = _influences(units) if aligned else (np.zeros((k, 0)), np.zeros(0, dtype=bool))
    responses, explained = _response_variances(pooled, influences, int(valid.sum()))
    half_squared = sd**2 / k * student(k - 1) ** 2 + responses * student(max(1, n - 1)) ** 2
    low, high = mean - half_squared**0.5, mean + half_squared**0.5
    if len(units) == k and all(each.is_share for each in units) and n > 1:
        low, high = exact_interval(mean, half_squared, float(sum(each.counts.sum() for each in units)), n)
    estimate = estimate_of(mean, (low, high), n, null)
    if aligned:  # as values of the responses whose mean is the estimate
        sums = np.where(valid, mean + valid.sum() * influences.mean(axis=0), np.nan)
        estimate = Ratio.of(estimate, sums, valid.astype(np.float64))
    return Pooled(estimate, sd, k, responses, explained)


def _influences(units: list[Units]) -> tuple[np.ndarray, np.ndarray]:
    """What each response adds to the error of each training, [trainings, responses], and whether it adds to any, [responses]."""
    return np.array([each.influences for each in units]), np.any([each.counts > 0 for each in units], axis=0)


def _response_variances(trainings: list[Estimate], influences: np.ndarray, n: int) -> tuple[float, float]:
    """The variance of the mean that its responses explain, and that between trainings."""
    if influences.size:
        mean = influences.mean(axis=0)
        factor = n / (n - 1) if n > 1 else 0.0
        between = np.square(influences - mean).sum() / (len(trainings) - 1)
        return factor * float(np.square(mean).sum()), factor * float(between)
    widths = [each.high - each.low for each in trainings if each.low is not None and each.high is not None]
    variance = float(np.mean(np.square(widths))) / (2 * NORMAL) ** 2 if widths else 0.0
    return variance, variance
