"""Bootstrap intervals over responses. Tokens are not resampled, since those of a response are not independent."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
SEED = 0
CONFIDENCE = 0.95
_CHUNK = 1 << 22  # entries of the resampling matrix held in memory at once


class Estimate(NamedTuple):
    """A value with its 95% interval, which is None if the responses do not show how far off the value may be.

    That is so for fewer than two responses, and for a mean of responses that are all the same.

    n: number of responses. n_null: number of responses without a value (no token, no number), which are not counted in n.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_null: int = 0


class Units(NamedTuple):
    """What an estimate is the ratio of sums of: [units] float64 each; a unit with a count of 0 is null. is_share: from 0 to 1."""

    sums: np.ndarray
    counts: np.ndarray
    is_share: bool

    @property
    def influences(self) -> np.ndarray:
        """By how much each unit moves the ratio away from what it would be if the unit agreed with it: [units] float64, sum 0."""
        total = self.counts.sum()
        return (self.sums - self.sums.sum() / total * self.counts) / total


class Ratio(Estimate):
    """An estimate with its units, so that those of several trainings can be pooled (see `stats.seeds`)."""

    units: Units | None = None

    @classmethod
    def of(cls, estimate: Estimate, sums: np.ndarray, counts: np.ndarray, *, is_share: bool = False) -> "Ratio":
        """The estimate with the units that it was made from, of which those that are null have neither a sum nor a count."""
        valid = np.isfinite(sums) & (counts > 0)
        ratio = cls(*estimate)
        ratio.units = Units(np.where(valid, sums, 0.0), np.where(valid, counts, 0.0), is_share)
        return ratio


def ratios(sums: np.ndarray, counts: np.ndarray) -> list[Estimate]:
    """The ratio of sums of each column, with bootstrap intervals over rows (see `interval`; ratio estimator).

    sums: [responses, columns] float64, sums over each response's tokens; the response is null if not finite. counts: [responses,
    columns] or [responses, 1], number of tokens; the response is null if 0. The intervals equal those of
    scipy.stats.bootstrap(paired=True, method="percentile") with the same seed, at the confidence level that `interval` widens
    them to; sharing the resamples between columns is faster.
    """
    sums = np.asarray(sums, dtype=np.float64)
    counts = np.broadcast_to(np.asarray(counts, dtype=np.float64), sums.shape)
    valid = np.isfinite(sums) & (counts > 0)
    estimates: list[Estimate] = [Estimate(None, n_null=len(sums))] * sums.shape[1]
    patterns, pattern_of = np.unique(valid, axis=1, return_inverse=True)
    for pattern, rows in enumerate(patterns.T):
        columns = np.flatnonzero(pattern_of == pattern)
        n = int(rows.sum())
        if not n:
            continue
        parts = [part[np.ix_(rows, columns)] for part in (sums, counts)]
        ratio_of_sums = bootstrap(parts, np.divide, n_null=len(sums) - n)
        for column, estimate in zip(columns, ratio_of_sums, strict=True):
            estimates[column] = estimate
    return [Ratio.of(*each) for each in zip(estimates, sums.T, counts.T, strict=True)]


def bootstrap(
    parts: Sequence[np.ndarray],
    statistic: Callable[..., np.ndarray],
    n: int | Sequence[int] | None = None,
    n_null: int | Sequence[int] = 0,
) -> list[Estimate]:
    """Statistics of sums over rows, with bootstrap intervals over rows (see `interval`): an estimate per statistic.

    parts: matrices [rows, columns] float64, resampled together. statistic: a function of their totals, each [resamples, columns],
    that returns [resamples, statistics], NaN if undefined. n: number of rows of each statistic, if not all. An undefined
    statistic is None; one of fewer than two rows, or the same in every resample, has no interval. Resamples in which it is
    undefined are ignored.
    """
    rows = len(parts[0])
    with np.errstate(invalid="ignore", divide="ignore"):
        values = statistic(*(part.sum(axis=0)[None] for part in parts))[0]
        ends = np.full((2, len(values)), np.nan)
        if rows > 1:
            ends = interval([statistic(*(weights @ part for part in parts)) for weights in resamplings(rows)], rows)
    row_counts = np.broadcast_to(rows if n is None else n, len(values)).tolist()
    null_counts = np.broadcast_to(n_null, len(values)).tolist()
    return [
        estimate_of(value, pair if count > 1 else (), count, nulls)
        for value, pair, count, nulls in zip(values.tolist(), ends.T.tolist(), row_counts, null_counts, strict=True)
    ]


def estimate_of(value: float, ends: Sequence[float], n: int, n_null: int) -> Estimate:
    """A value with the interval `ends`, if there is one and it has a width."""
    if math.isnan(value):
        return Estimate(None, n=n, n_null=n_null)
    low, high = ends or (math.nan, math.nan)
    if math.isnan(low) or math.isclose(low, high, rel_tol=1e-12, abs_tol=1e-300):  # no width but that of rounding
        return Estimate(value, n=n, n_null=n_null)
    return Estimate(value, low, high, n, n_null)


def resamplings(n: int) -> Iterator[np.ndarray]:
    """RESAMPLES resamples of n rows, the same for each n: how often each row is drawn, in chunks [resamples, n] float64."""
    generator = np.random.default_rng(SEED)
    chunk = max(1, _CHUNK // n)
    for first in range(0, RESAMPLES, chunk):
        size = min(chunk, RESAMPLES - first)
        drawn = generator.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def student(freedom: float) -> float:
    """Student's quantile: standard errors in half of an interval."""
    from scipy.special import stdtrit  # slow to import, and every job imports this module

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))


def interval(resampled: list[np.ndarray], rows: int) -> np.ndarray:
    """Expanded percentile intervals [2, columns] of values resampled from `rows` rows, in chunks [resamples, columns].

    The plain percentile interval (Efron 1979) is too narrow for few rows: the variance in resamples is (n - 1) / n of the
    unbiased one, and a normal quantile is used for Student's t. Taking percentiles further out mends both (Hesterberg 2015,
    section 3.2). Undefined values (NaN) are ignored; an interval without defined values is NaN.
    """
    values = np.concatenate(resampled)
    tail = NormalDist().cdf(-student(rows - 1) * math.sqrt(rows / (rows - 1)))
    ends = [100 * tail, 100 * (1 - tail)]
    if not np.isnan(values).any():
        return np.percentile(values, ends, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of only NaN
        return np.nanpercentile(values, ends, axis=0)
