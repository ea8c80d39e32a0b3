"""Exact paired permutation test, t test of a ratio of sums, and Holm's correction for many tests."""

import numpy as np

from closerlook.stats.bootstrap import Units


def p_value(differences: np.ndarray) -> float | None:
    """Exact two-sided p-value of the paired permutation test; None without pairs.

    It is the share of the 2^n sign changes of the differences whose sum is at least as far from 0 as the observed sum.
    differences: [pairs] whole numbers. The sum of the k differences of size m is m (2 Binomial(k, 1/2) - k), so the sum of all
    is distributed as a convolution of one binomial per size, and no resampling is needed.
    """
    from scipy.stats import binom  # slow to import, and every job imports this module

    if not len(differences):
        return None
    sizes, counts = np.unique(np.abs(differences).astype(np.int64), return_counts=True)
    masses = np.ones(1)  # of the sums -top, -top + 2, ..., top: all sums have the same parity
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        if size:
            size_masses = np.zeros(size * count + 1)
            size_masses[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
            masses = np.convolve(masses, size_masses)
    top = len(masses) - 1
    sums = 2 * np.arange(len(masses)) - top
    p = masses[np.abs(sums) >= abs(differences.sum())].sum()
    return float(np.clip(p, np.finfo(np.float64).tiny, 1.0))  # at least 2^(1 - n), which a float64 may not hold


def p_of_ratio(sums: np.ndarray, counts: np.ndarray) -> float | None:
    """Two-sided p-value of Student's t test that a ratio of sums is 0; None if fewer than two units, or none that differ.

    sums, counts: [units]; units without a count are left out. The ratio's standard error is that of its linear part: each unit's
    influence (Cochran 1977, section 2.11), with n - 1 degrees of freedom.
    """
    from scipy.stats import t as student  # slow to import, and every job imports this module

    counted = counts > 0
    units = Units(sums[counted], counts[counted], is_share=False)
    n = len(units.sums)
    if n < 2:
        return None
    ratio = units.sums.sum() / units.counts.sum()
    error = (n / (n - 1) * np.square(units.influences).sum()) ** 0.5
    if error <= 1e-12 * abs(ratio):  # no width but that of rounding
        return None
    return float(max(np.finfo(np.float64).tiny, 2 * student.sf(abs(ratio) / error, n - 1)))


def holm(p_values: list[float]) -> list[float]:
    """p-values corrected for multiple tests, controlling the family-wise error rate (Holm 1979)."""
    corrected, largest, tests = [0.0] * len(p_values), 0.0, len(p_values)
    for rank, index in enumerate(sorted(range(tests), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (tests - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
