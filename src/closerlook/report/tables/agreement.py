"""Agreement of two judges on the same responses, and on the order of the cells."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.judge.aspects import ASPECTS
from closerlook.report.tables import metrics
from closerlook.report.tables.selection import judged_twice
from closerlook.report.tables.table import Files, MeasuredOf, Part, Row, Table
from closerlook.report.tables.verdicts import aligned, read_verdicts, versions
from closerlook.stats.bootstrap import Estimate, bootstrap

NAMED = 20
"""Largest number of reversed pairs of cells that are listed: a grid of 155 cells has 11,935 pairs."""


def compare_judges(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Agreement by aspect over the cells that both judges scored on one evalset, each with its two files of verdicts."""
    names = [cell["cell"] for cell, _ in cells]
    verdicts = [read_verdicts(paths[judge]) for judge in (0, 1) for _, paths in cells]
    for aspect in verdicts[0].aspects:
        if not all(aspect in each.aspects for each in verdicts):
            continue  # an aspect of only one judge's prompt
        first, second = np.hsplit(aligned([each.aspect(aspect) for each in verdicts]), 2)
        keys = {"version": versions(*verdicts), "aspect": aspect}
        for pair, name, estimate in compare(names, first, second):
            yield cells[0][0], keys | {"pair": pair}, name, estimate


def compare(names: list[str], first: np.ndarray, second: np.ndarray) -> Iterator[tuple[str, str, Estimate]]:
    """Pair of cells (empty: all cells), metric and value for the scores of two judges.

    first, second: [instructions, cells] float64, NaN where the judge gave no score. All values are over the responses that
    both scored, so a cell's two means are of the same responses. Intervals resample instructions.
    """
    both = np.isfinite(first) & np.isfinite(second)
    kept = both.any(axis=1)
    n = {"n": int(kept.sum()), "n_null": int((~kept).sum())}
    first, second = np.where(both, first, 0.0), np.where(both, second, 0.0)
    for name, estimate in _moments(both[kept], first[kept], second[kept]).items():
        yield "", name, estimate._replace(**n)
    yield "", "responses", Estimate(float(both.sum()), **n)
    yield "", "responses_null", Estimate(float((~both).sum()), **n)
    scored = np.flatnonzero(both.any(axis=0))
    counts = both.sum(axis=0)[scored]
    means, means_second = first.sum(axis=0)[scored] / counts, second.sum(axis=0)[scored] / counts
    yield "", "cells", Estimate(float(len(scored)), **n)
    from scipy.stats import kendalltau, spearmanr  # heavy

    ranked = len(scored) > 1 and np.ptp(means) > 0 and np.ptp(means_second) > 0
    for name, correlation in (("spearman", spearmanr), ("kendall", kendalltau)):
        yield "", name, Estimate(float(correlation(means, means_second).statistic) if ranked else None, **n)
    yield from _reversed([names[cell] for cell in scored], means, means_second, n)


def _moments(both: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, Estimate]:
    """Quadratically weighted kappa (Cohen 1968) and the mean difference, second judge minus first, with intervals.

    With quadratic weights, kappa is 1 - mean (a - b)² / (mean a² + mean b² - 2 mean a mean b): the observed disagreement
    divided by that of the same scores in random order. Undefined (None) if both judges always give one and the same score.
    """
    parts = (both, first, second, first * first, second * second, (first - second) ** 2)
    sums = np.stack([part.sum(axis=1) for part in parts], axis=1).astype(np.float64)  # [instructions, 6]

    def values(totals: np.ndarray) -> np.ndarray:
        n, a, b, aa, bb, squared = totals.T
        chance = n * (aa + bb) - 2 * a * b
        return np.stack([np.where(chance > 0, 1 - n * squared / chance, np.nan), (b - a) / n], axis=1)

    return dict(zip(("kappa", "mean_difference"), bootstrap([sums], values), strict=True))


def _reversed(
    names: list[str], means: np.ndarray, second: np.ndarray, n: dict[str, int]
) -> Iterator[tuple[str, str, Estimate]]:
    """Number of pairs of cells that the judges order differently, and those with the largest differences under both."""
    i, j = np.triu_indices(len(names), k=1)
    gaps, gaps_second = means[i] - means[j], second[i] - second[j]
    pairs = np.flatnonzero(gaps * gaps_second < 0)
    yield "", "pairs_reversed", Estimate(float(len(pairs)), **n)
    smaller_gap = np.minimum(np.abs(gaps), np.abs(gaps_second))[pairs]
    for pair in pairs[np.argsort(-smaller_gap, kind="stable")][:NAMED]:
        sign = np.sign(gaps[pair])
        better, worse = (names[i[pair]], names[j[pair]])[:: int(sign)]
        yield f"{better} over {worse}", "gap", Estimate(float(sign * gaps[pair]), **n)
        yield f"{better} over {worse}", "gap_against", Estimate(float(sign * gaps_second[pair]), **n)


JUDGE_AGREEMENT = Table(
    name="judge_agreement",
    title="Agreement of two judges",
    caption=(
        "One row per pair of judges and aspect: how well they agree on the responses that both scored. Kappa is 1 for "
        "equal scores and 0 for agreement by chance; pairs of cells that the judges order differently follow in their "
        "own section."
    ),
    metrics=metrics.AGREEMENT | metrics.REVERSED,
    keys=("judge", "against", "version", "aspect", "pair"),
    unit="instructions",
    sections={
        "Agreement": tuple(metrics.AGREEMENT),
        "Pairs of cells that the judges order differently": tuple(metrics.REVERSED),
    },
    asks_for="judges",
    at_least=2,
    parts=(
        Part(
            ("evalset", "judge", "against"),
            (Files.VERDICTS, layout.verdicts("{cell}", "{evalset}", "{against}")),
            compare_judges,
            tuple(metrics.AGREEMENT),
            controls=True,
            keys={"aspect": ASPECTS},
            over=judged_twice,
            together=("evalset", "judge", "against"),
        ),
    ),
)
