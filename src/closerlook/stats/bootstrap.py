"""Bootstrap intervals over responses. Tokens are not resampled, since those of a response are not independent."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
SEED = 0
CONFIDENCE = 0.95
_CHUNK = 1 << 22  # entries of the resampling matrix held in memory at once


class Estimate(NamedTuple):
    """A value with its 95% interval, which is None for fewer than two responses.

    n: number of responses. n_null: number of responses without a value (no token, no number), which are not counted in n.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_null: int = 0


def ratios(sums: np.ndarray, counts: np.ndarray) -> list[Estimate]:
    """The ratio of sums of each column, with percentile bootstrap intervals over rows (Efron 1979; ratio estimator).

    sums: [responses, columns] float64, sums over each response's tokens; the response is null if not finite. counts: [responses,
    columns] or [responses, 1], number of tokens; the response is null if 0. The intervals equal those of
    scipy.stats.bootstrap(paired=True, method="percentile") with the same seed; sharing the resamples between columns is faster.
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
    return estimates


def bootstrap(
    parts: Sequence[np.ndarray],
    statistic: Callable[..., np.ndarray],
    n: int | Sequence[int] | None = None,
    n_null: int | Sequence[int] = 0,
) -> list[Estimate]:
    """Statistics of sums over rows, with percentile bootstrap intervals over rows (Efron 1979): an estimate per statistic.

    parts: matrices [rows, columns] float64, resampled together. statistic: a function of their totals, each [resamples, columns],
    that returns [resamples, statistics], NaN if undefined. n: number of rows of each statistic, if not all. An undefined
    statistic is None; one of fewer than two rows has no interval. Resamples in which it is undefined are ignored.
    """
    rows = len(parts[0])
    with np.errstate(invalid="ignore", divide="ignore"):
        values = statistic(*(part.sum(axis=0)[None] for part in parts))[0]
        ends = np.full((2, len(values)), np.nan)
        if rows > 1:
            ends = interval([statistic(*(weights @ part for part in parts)) for weights in resamplings(rows)])
    row_counts = np.broadcast_to(rows if n is None else n, len(values)).tolist()
    null_counts = np.broadcast_to(n_null, len(values)).tolist()
    return [
        _estimate(value, pair if count > 1 else (), count, nulls)
        for value, pair, count, nulls in zip(values.tolist(), ends.T.tolist(), row_counts, null_counts, strict=True)
    ]


def _estimate(value: float, ends: Sequence[float], n: int, n_null: int) -> Estimate:
    if math.isnan(value):
        return Estimate(None, n=n, n_null=n_null)
    low, high = (None if math.isnan(end) else end for end in ends) if ends else (None, None)
    return Estimate(value, low, high, n, n_null)


def resamplings(n: int) -> Iterator[np.ndarray]:
    """RESAMPLES resamples of n rows, the same for each n: how often each row is drawn, in chunks [resamples, n] float64."""
    generator = np.random.default_rng(SEED)
    chunk = max(1, _CHUNK // n)
    for first in range(0, RESAMPLES, chunk):
        size = min(chunk, RESAMPLES - first)
        drawn = generator.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def interval(resampled: list[np.ndarray]) -> np.ndarray:
    """Percentile intervals [2, columns] of resampled values, given in chunks [resamples, columns].

    Undefined values (NaN) are ignored; an interval without defined values is NaN.
    """
    values = np.concatenate(resampled)
    tail = (1 - CONFIDENCE) / 2
    ends = [100 * tail, 100 * (1 - tail)]
    if not np.isnan(values).any():
        return np.percentile(values, ends, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of only NaN
        return np.nanpercentile(values, ends, axis=0)
