"""Rates of units in their own and in each other's answers, such as spans that are sought in the answers to all instructions."""

import numpy as np

from closerlook.stats.bootstrap import Estimate, Ratio, estimate_of, student
from closerlook.stats.proportions import exact_interval


def compare_crossed(
    own: np.ndarray, level: np.ndarray, counts: np.ndarray, received: np.ndarray, asked: np.ndarray
) -> tuple[Estimate, Estimate]:
    """The rate at which others' answers have what a unit has, and by how much the rate of its own answers exceeds it.

    All are [units] float64. own: how many of a unit's pairs with its own answers have it. level: how many of as many others'
    answers would. counts: number of these pairs; the unit is null if 0, or if its level is NaN. received, asked: the parts of
    others' levels, and of their counts, that the unit's answers account for.

    The rates are ratios of sums, own and level divided by counts. Both units of a pair are drawn, and intervals cover both draws:
    with c the sum of counts, a unit moves the level l by

        (level[i] - l counts[i] + received[i] - l asked[i]) / c,

    in both of its roles (the projection of a U-statistic; Hoeffding 1948). The interval of the level is that of a share, the one
    of the difference Student's; fewer than two units have none.
    """
    valid = (counts > 0) & np.isfinite(level)
    n, null = int(valid.sum()), int((~valid).sum())
    if not n:
        return Estimate(None, n_null=null), Estimate(None, n_null=null)
    total, known = float(counts[valid].sum()), valid | (asked > 0)
    of_own, of_level = (float(sums[valid].sum()) / total for sums in (own, level))
    own_moves, moves = (
        np.where(valid, s - rate * counts, 0.0) / total for s, rate in ((own, of_own), (level, of_level))
    )
    moves = moves + (received - of_level * asked) / total
    return (
        _estimate(of_level, moves, known, total, (n, null), is_share=True),
        _estimate(of_own - of_level, own_moves - moves, known, total, (n, null), is_share=False),
    )


def _estimate(
    value: float, moves: np.ndarray, known: np.ndarray, total: float, n: tuple[int, int], *, is_share: bool
) -> Ratio:
    """A value with its interval, from what each unit moves it by. total: of all counts. n: units with a value, and without."""
    ends: tuple[float, ...] = ()
    if n[0] > 1:
        squared = student(n[0] - 1) ** 2 * n[0] / (n[0] - 1) * float(np.square(moves).sum())
        plain = max(-1.0, value - squared**0.5), min(1.0, value + squared**0.5)
        ends = exact_interval(value, squared, total, n[0]) if is_share else plain
    counts = np.where(known, total / known.sum(), 0.0)  # units with these moves, so that estimates can be pooled
    return Ratio.of(estimate_of(value, ends, *n), counts * value + total * moves, counts, is_share=is_share)
