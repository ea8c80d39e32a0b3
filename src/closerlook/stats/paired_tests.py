"""Exact paired permutation test, and Holm's correction for many tests."""

import numpy as np


def p_value(differences: np.ndarray) -> float | None:
    """Two-sided p of the paired permutation test: the share of all 2^n ways of giving the differences signs whose sum is at
    least as far from 0 as the one found. Exact, and None where there is no difference to test.

    differences: [pairs] whole numbers, as differences of scores are. The sum of the k differences of one size m is
    m (2 Binomial(k, 1/2) - k), so the distribution of the whole sum is a convolution of one binomial per size: no resampling,
    and no p that is as small as the number of resamples allows and no smaller.
    """
    from scipy.stats import binom  # heavy: the Snakefile imports this module in every job

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
