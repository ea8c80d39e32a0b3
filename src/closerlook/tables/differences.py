"""Cell against cell on the same instructions: mean difference, exact permutation test, correction for the table's size."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import binom

from closerlook.tables.scores import MeasuredOf
from closerlook.tables.statistics import Estimate, ratios
from closerlook.tables.table import Row
from closerlook.tables.verdicts import Verdicts, aligned, read_verdicts


def of_cells(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """For each comparison and aspect the paired difference of scores, its p, and p corrected over all of `cells`.

    cells: every comparison of the table, each with the verdicts of its cell and of the one it is compared with.
    """
    compared = [(cell, keys, difference) for cell, paths in cells for keys, difference in _differences(*paths)]
    tests = [p_value(difference[np.isfinite(difference)]) for _, _, difference in compared]
    corrected = iter(holm([p for p in tests if p is not None]))
    for (cell, keys, difference), p in zip(compared, tests, strict=True):
        mean = ratios(difference[:, None], np.ones((len(difference), 1)))[0]
        counts = {"n": mean.n, "n_null": mean.n_null}
        yield cell, keys, "difference", mean
        yield cell, keys, "p", Estimate(p, **counts)
        yield cell, keys, "p_holm", Estimate(None if p is None else next(corrected), **counts)


def _differences(verdicts: Path, against: Path) -> Iterator[tuple[dict[str, object], np.ndarray]]:
    """Per aspect that both were judged on: [instructions] float64, NaN where one of them has no score."""
    one, other = read_verdicts(verdicts), read_verdicts(against)
    for aspect in one.aspects:
        if aspect in other.aspects:
            pair = aligned([(each.ids, each.scores[:, each.aspects.index(aspect)]) for each in (one, other)])
            yield {"version": versions(one, other), "aspect": aspect}, pair[:, 0] - pair[:, 1]


def versions(*verdicts: Verdicts) -> str:
    """The versions of the judges, one where they agree."""
    return " / ".join(dict.fromkeys(each.version for each in verdicts))


def p_value(differences: np.ndarray) -> float | None:
    """Two-sided p of the paired permutation test: the share of all 2^n ways of giving the differences signs whose sum is at
    least as far from 0 as the one found. Exact, and None where there is no difference to test.

    differences: [pairs] whole numbers, as differences of scores are. The sum of the k differences of one size m is
    m (2 Binomial(k, 1/2) - k), so the distribution of the whole sum is a convolution of one binomial per size: no resampling,
    and no p that is as small as the number of resamples allows and no smaller.
    """
    if not len(differences):
        return None
    sizes, counts = np.unique(np.abs(differences).astype(np.int64), return_counts=True)
    masses = np.ones(1)  # of the sums -top, -top + 2, ..., top: all sums have the same parity
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        if size:
            one = np.zeros(size * count + 1)
            one[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
            masses = np.convolve(masses, one)
    top = len(masses) - 1
    sums = 2 * np.arange(len(masses)) - top
    p = masses[np.abs(sums) >= abs(differences.sum())].sum()
    return float(np.clip(p, np.finfo(np.float64).tiny, 1.0))  # at least 2^(1 - n), which a float64 may not hold


def holm(p_values: list[float]) -> list[float]:
    """p corrected so that with 0.05 as the limit, the chance of even one false find among all is below 0.05 (Holm 1979)."""
    corrected, least, found = [0.0] * len(p_values), 0.0, len(p_values)
    for place, index in enumerate(sorted(range(found), key=p_values.__getitem__)):
        least = max(least, min(1.0, (found - place) * p_values[index]))
        corrected[index] = least
    return corrected
