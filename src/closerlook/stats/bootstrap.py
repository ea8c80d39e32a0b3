"""Means over tokens, with intervals over responses: the tokens of one response are not independent of each other."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
SEED = 0
CONFIDENCE = 0.95
_CHUNK = 1 << 22  # entries of the resampling matrix held at a time, so that 326k instances need no more memory than 800


class Estimate(NamedTuple):
    """A value, its 95% interval (None where one response, or none, leaves nothing to resample), and its n.

    n: responses that the value is taken over. n_null: responses left out, having nothing to measure (no token, no number).
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_null: int = 0


def ratios(sums: np.ndarray, counts: np.ndarray) -> list[Estimate]:
    """Ratio of sums, one per column, with percentile bootstrap intervals over rows (Efron 1979; ratio estimator).

    sums: [responses, columns] float64, a response's sum over its tokens (NaN or infinite: the response is null).
    counts: [responses, columns] or [responses, 1], its number of tokens (0: the response is null).
    The intervals equal scipy.stats.bootstrap(paired=True, method="percentile") with the same seed; here all columns share
    the resamples, which is what makes a whole table a matter of seconds.
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
    """Statistics of sums over rows, with percentile bootstrap intervals over rows (Efron 1979): one estimate per statistic.

    parts: matrices [rows, columns] float64, resampled together. statistic: from their totals, each [resamples, columns], to
    values, [resamples, statistics]; NaN where it is undefined. n: rows that a statistic is taken over, if not all. An undefined
    statistic is None; one over fewer than two rows has no interval. Resamples that leave it undefined count in no interval.
    """
    rows = len(parts[0])
    with np.errstate(invalid="ignore", divide="ignore"):
        values = statistic(*(part.sum(axis=0)[None] for part in parts))[0]
        ends = np.full((2, len(values)), np.nan)
        if rows > 1:
            ends = interval([statistic(*(weights @ part for part in parts)) for weights in resamplings(rows)])
    taken = np.broadcast_to(rows if n is None else n, len(values)).tolist()
    left_out = np.broadcast_to(n_null, len(values)).tolist()
    return [
        _estimate(value, pair if count > 1 else (), count, nulls)
        for value, pair, count, nulls in zip(values.tolist(), ends.T.tolist(), taken, left_out, strict=True)
    ]


def _estimate(value: float, ends: Sequence[float], n: int, n_null: int) -> Estimate:
    if math.isnan(value):
        return Estimate(None, n=n, n_null=n_null)
    low, high = (None if math.isnan(end) else end for end in ends) if ends else (None, None)
    return Estimate(value, low, high, n, n_null)


def resamplings(n: int) -> Iterator[np.ndarray]:
    """RESAMPLES resamples of n rows, as how often each row is drawn: chunks [some, n] float64. Always the same for the same n."""
    generator = np.random.default_rng(SEED)
    chunk = max(1, _CHUNK // n)
    for first in range(0, RESAMPLES, chunk):
        many = min(chunk, RESAMPLES - first)
        drawn = generator.integers(0, n, (many, n)) + np.arange(many)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=many * n).reshape(many, n).astype(np.float64)


def interval(resampled: list[np.ndarray]) -> np.ndarray:
    """Percentile interval [2, columns] of a statistic's resampled values, chunks [some, columns].

    A value that a resample leaves undefined (NaN) is left out; where all are, so are the interval's ends.
    """
    values = np.concatenate(resampled)
    tail = (1 - CONFIDENCE) / 2
    ends = [100 * tail, 100 * (1 - tail)]
    if not np.isnan(values).any():
        return np.percentile(values, ends, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of NaN alone
        return np.nanpercentile(values, ends, axis=0)
