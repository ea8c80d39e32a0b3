"""Whether scores tell two kinds of items apart: the area under the ROC curve."""

import numpy as np

from closerlook.stats.bootstrap import Estimate, student
from closerlook.stats.proportions import exact_interval


def auroc(scores: np.ndarray, positive: np.ndarray, units: np.ndarray) -> Estimate:
    """The probability that a positive item has a higher score than a negative one; ties count half.

    scores: float64 [items], -inf for the lowest. positive: bool [items]. units: int [items]; items of one unit are not
    independent. The variance is that of the items' placements (DeLong et al. 1988), summed by unit (Obuchowski 1997). The
    interval is that of a share with this variance, and Student's t of the kind that fewer units have, so it has a width at 0 and
    1 too. None, if there are no items of one kind; without an interval, if a single unit has them.
    """
    n, fewer = len(np.unique(units)), min(len(np.unique(units[kind])) for kind in (positive, ~positive))
    if not fewer:
        return Estimate(None, n=n)
    own, other = scores[positive], scores[~positive]
    placements = np.empty(len(scores))
    placements[positive] = _share_below(other, own)
    placements[~positive] = 1 - _share_below(own, other)
    area = float(placements[positive].mean())
    if fewer < 2:
        return Estimate(area, n=n)
    influences = (placements - area) / np.where(positive, positive.sum(), (~positive).sum())
    of_unit = np.bincount(np.unique(units, return_inverse=True)[1], weights=influences)
    variance = float(np.square(of_unit).sum()) * n / (n - 1)
    return Estimate(area, *exact_interval(area, variance * student(fewer - 1) ** 2, n, fewer), n)


def _share_below(reference: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The share of `reference` below each value; those equal to it count half."""
    ordered = np.sort(reference)
    below, up_to = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return (below + up_to) / (2 * len(reference))
