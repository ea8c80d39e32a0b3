"""Methods compared where they learned the same: what each kept there, read from the line through its learning rates."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from closerlook.stats.bootstrap import Estimate, Ratio, ratios

LEVELS = {"1/4": 0.25, "1/2": 0.5, "3/4": 0.75}
"""Where methods are compared: parts of the way along the range that both reach, away from its ends, which are uncertain."""


class Point(NamedTuple):
    """One training: how much it learned (more is higher), and what it kept of the base model."""

    learned: Ratio
    kept: Ratio


Frontier = Sequence[Sequence[Point]]
"""[rates][trainings]: a method at ascending learning rates, each with the same trainings in the same order."""


def common_levels(*frontiers: Frontier) -> dict[str, float]:
    """Levels of learning, by LEVELS' names, that every method reaches between its least rate and the one that learned most.

    What a rate learned is the mean over its trainings. Empty if the methods' ranges have nothing in common.
    """
    learned = [_means(frontier)[0] for frontier in frontiers]
    low, high = max(each[0] for each in learned), min(each.max() for each in learned)
    return {name: float(low + part * (high - low)) for name, part in LEVELS.items()} if low < high else {}


def kept_at(level: float, frontier: Frontier, minus: Frontier = ()) -> list[Estimate]:
    """What a method kept where it learned this much, minus what another one kept there: an estimate per training.

    With x and y for what the rates learned and kept (means over trainings), let a and b be the least two neighboring rates with
    x[a] < level <= x[b]. The value is that of the line between them, y[a] + m (level - x[a]), m = (y[b] - y[a]) / (x[b] - x[a]).
    One training has the value that its own points x[s], y[s] put in place of the means', to first order (delta method):

        (1 - w) (y[s, a] + m (level - x[s, a])) + w (y[s, b] + m (level - x[s, b])),   w = (level - x[a]) / (x[b] - x[a]),

    so that the mean over trainings is the value. Each question moves it as it moves these four points, and those of the other
    method, so the intervals are over the questions of both axes, paired between the methods.
    """
    terms = [*_terms(level, frontier, 1.0), *(_terms(level, minus, -1.0) if minus else [])]
    trainings = range(len(frontier[0]))
    return [
        _combined(level, [(weight, slope, points[training]) for weight, slope, points in terms])
        for training in trainings
    ]


def _means(frontier: Frontier) -> tuple[np.ndarray, np.ndarray]:
    """What each rate learned and kept, over its trainings: [rates] float64 each."""
    values = np.array(
        [[(point.learned.value, point.kept.value) for point in rate] for rate in frontier], dtype=np.float64
    )
    return values[..., 0].mean(axis=1), values[..., 1].mean(axis=1)


def _terms(level: float, frontier: Frontier, sign: float) -> list[tuple[float, float, Sequence[Point]]]:
    """Weight, slope and trainings of the two rates that a level lies between."""
    learned, kept = _means(frontier)
    b = int(np.argmax(learned >= level))
    step = learned[b] - learned[b - 1]
    w, slope = (level - learned[b - 1]) / step, (kept[b] - kept[b - 1]) / step
    return [(sign * (1 - w), slope, frontier[b - 1]), (sign * w, slope, frontier[b])]


def _combined(level: float, terms: list[tuple[float, float, Point]]) -> Estimate:
    """The sum of weight (kept + slope (level - learned)) of several points, over the units of both."""
    value = sum(w * ((p.kept.value or 0.0) + slope * (level - (p.learned.value or 0.0))) for w, slope, p in terms)
    of_kept = _influences([(w, p.kept) for w, _, p in terms])
    of_learned = _influences([(-w * slope, p.learned) for w, slope, p in terms])
    influences = np.concatenate([of_kept, of_learned])
    return ratios((value + np.isfinite(influences).sum() * influences)[:, None], np.ones(1))[0]


def _influences(weighted: list[tuple[float, Ratio]]) -> np.ndarray:
    """What each unit adds to a weighted sum of estimates: [units] float64, NaN for a unit that none of them has."""
    units = [(weight, estimate.units) for weight, estimate in weighted if estimate.units]
    total = np.sum([weight * each.influences for weight, each in units], axis=0)
    return np.where(np.any([each.counts > 0 for _, each in units], axis=0), total, np.nan)
