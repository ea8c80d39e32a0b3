"""The linear datamodeling score: how well scores of training instances predict models that are trained on parts of the data.

K models are each trained on a random part of a dataset. What a ranker predicts of a model's log-probability of a span is the sum
of its scores of the instances in the model's part. The score of the ranker is Spearman's correlation over the models between
prediction and outcome, on average over spans (Park et al. 2023, TRAK, section 2; Ilyas et al. 2022).
"""

from typing import NamedTuple

import numpy as np

from closerlook.stats.bootstrap import CONFIDENCE, Estimate, estimate_of
from closerlook.stats.seeds import half_of_interval


class Correlations(NamedTuple):
    """Correlations over K models, [spans] float64, and the same without each of the models, [K, spans]. NaN: undefined."""

    over_all: np.ndarray
    without: np.ndarray

    def of(self, spans: np.ndarray) -> "Correlations":
        """Those of some spans: [spans] bool or indices."""
        return Correlations(self.over_all[spans], self.without[:, spans])

    def minus(self, other: "Correlations") -> "Correlations":
        """The differences to another ranker's of the same spans."""
        return Correlations(self.over_all - other.over_all, self.without - other.without)


def correlate(predicted: np.ndarray, outcomes: np.ndarray) -> Correlations:
    """Spearman's correlation of each span over at least two models, from predictions and outcomes [spans, K].

    Predictions that are all the same predict nothing: 0. Outcomes that are all the same cannot be predicted: NaN, as where a
    prediction or an outcome is NaN.
    """
    over_all = _spearman(predicted, outcomes)
    left = (np.delete(np.arange(predicted.shape[1]), number) for number in range(predicted.shape[1]))
    without = np.array([_spearman(predicted[:, models], outcomes[:, models]) for models in left])
    return Correlations(over_all, np.where(np.isnan(without), over_all, without))


def mean_correlation(correlations: Correlations, units: np.ndarray, limit: float = 1.0) -> Estimate:
    """The mean over spans, with an interval that covers other models (with their parts) and other units.

    units: [spans], the unit of each span, such as its value; spans of a unit are not independent. limit: largest absolute
    value. With pseudo-values K r - (K - 1) r[-k] of the correlation r of each span, the variance has two parts: that of the means
    of each model's pseudo-values, which is the jackknife's, and that of the means of each unit, less what the noise of single
    units under single models adds to it, which is in the first part already (as in Cameron, Gelbach and Miller 2011). Half of
    the interval is as in `seeds.pool`, with K - 1 and n - 1 degrees of freedom.
    """
    valid = np.isfinite(correlations.over_all)
    n = len(np.unique(units[valid]))
    n_null = len(np.unique(units)) - n
    if not n:
        return Estimate(None, n_null=n_null)
    values, models = correlations.over_all[valid], len(correlations.without)
    mean = float(values.mean())
    if n < 2 or models < 3:
        return Estimate(mean, n=n, n_null=n_null)
    owner = np.unique(units[valid], return_inverse=True)[1]
    without = correlations.without[:, valid]
    # What each model, each unit, and each unit under each model adds to the error of the mean.
    moved = (models - 1) * (without.mean(axis=0) - without) / models
    of_both = np.array([np.bincount(owner, weights=row) for row in moved]) / len(values)
    of_units = np.bincount(owner, weights=values - mean) / len(values)
    of_models = of_both.sum(axis=1)
    by_model, by_unit = models / (models - 1), n / (n - 1)
    variances = [
        by_model * float(np.square(of_models).sum()),
        by_unit * max(0.0, float(np.square(of_units).sum() - by_model * np.square(of_both).sum())),
    ]
    half = half_of_interval((1 - CONFIDENCE) / 2, variances, [models - 1, n - 1])
    return estimate_of(mean, np.clip([mean - half, mean + half], -limit, limit).tolist(), n, n_null)


def _spearman(predicted: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata  # slow to import, and every job imports this module

    ranks = [rankdata(values, axis=1) - (values.shape[1] + 1) / 2 for values in (predicted, outcomes)]
    squares = [np.square(each).sum(axis=1) for each in ranks]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = (ranks[0] * ranks[1]).sum(axis=1) / np.sqrt(squares[0] * squares[1])
    return np.where(squares[1] == 0, np.nan, np.where(squares[0] == 0, 0.0, correlation))
