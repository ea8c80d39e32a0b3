"""Two judges on the same responses: do they agree, and would the other one rank the cells alike?"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.judge.aspects import ASPECTS
from closerlook.report.tables import metrics
from closerlook.report.tables.differences import versions
from closerlook.report.tables.selection import judged_twice
from closerlook.report.tables.table import VERDICTS_FILE, MeasuredOf, Part, Row, Table
from closerlook.report.tables.verdicts import aligned, read_verdicts
from closerlook.stats.bootstrap import Estimate, bootstrap

NAMED = 20
"""Reversed pairs of cells that are named: a grid of 155 cells has 11,935 pairs."""


def compare_judges(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Agreement by aspect over the cells that both judges scored on one evalset, each with its two files of verdicts."""
    names = [cell["cell"] for cell, _ in cells]
    judges = [[read_verdicts(paths[which]) for _, paths in cells] for which in (0, 1)]
    version = versions(*judges[0], *judges[1])
    for aspect in judges[0][0].aspects:
        both = [v for judge in judges for v in judge]
        if not all(aspect in verdicts.aspects for verdicts in both):
            continue  # an aspect of one judge's prompt only
        scores = aligned([(v.ids, v.scores[:, v.aspects.index(aspect)]) for v in both])
        one, other = scores[:, : len(cells)], scores[:, len(cells) :]
        keys = {"version": version, "aspect": aspect}
        for pair, name, estimate in compare(names, one, other):
            yield cells[0][0], keys | {"pair": pair}, name, estimate


def compare(names: list[str], one: np.ndarray, other: np.ndarray) -> Iterator[tuple[str, str, Estimate]]:
    """Pair of cells (empty: all cells), metric and value of two judges' scores.

    one, other: [instructions, cells] float64, NaN where the judge gave no score. All values are over the responses that both
    scored, so that a cell's two means are of the same responses. Intervals resample instructions.
    """
    there = np.isfinite(one) & np.isfinite(other)
    kept = there.any(axis=1)
    n = {"n": int(kept.sum()), "n_null": int((~kept).sum())}
    one, other = np.where(there, one, 0.0), np.where(there, other, 0.0)
    for name, estimate in _moments(there[kept], one[kept], other[kept]).items():
        yield "", name, estimate._replace(**n)
    yield "", "responses", Estimate(float(there.sum()), **n)
    yield "", "responses_null", Estimate(float((~there).sum()), **n)
    scored = np.flatnonzero(there.any(axis=0))
    counts = there.sum(axis=0)[scored]
    means, means_other = one.sum(axis=0)[scored] / counts, other.sum(axis=0)[scored] / counts
    yield "", "cells", Estimate(float(len(scored)), **n)
    from scipy.stats import kendalltau, spearmanr  # heavy

    ranked = len(scored) > 1 and np.ptp(means) > 0 and np.ptp(means_other) > 0
    for name, correlation in (("spearman", spearmanr), ("kendall", kendalltau)):
        yield "", name, Estimate(float(correlation(means, means_other).statistic) if ranked else None, **n)
    yield from _reversed([names[cell] for cell in scored], means, means_other, n)


def _moments(there: np.ndarray, one: np.ndarray, other: np.ndarray) -> dict[str, Estimate]:
    """Quadratically weighted kappa (Cohen 1968) and the mean difference, second judge minus first, with intervals.

    With quadratic weights, kappa is 1 - mean (a - b)² / (mean a² + mean b² - 2 mean a mean b): the disagreement found by that
    of the same scores dealt at random. Undefined (None) where both judges give one and the same score throughout.
    """
    parts = (there, one, other, one * one, other * other, (one - other) ** 2)
    sums = np.stack([part.sum(axis=1) for part in parts], axis=1).astype(np.float64)  # [instructions, 6]

    def values(totals: np.ndarray) -> np.ndarray:
        n, a, b, aa, bb, squared = totals.T
        chance = n * (aa + bb) - 2 * a * b
        return np.stack([np.where(chance > 0, 1 - n * squared / chance, np.nan), (b - a) / n], axis=1)

    return dict(zip(("kappa", "mean_difference"), bootstrap([sums], values), strict=True))


def _reversed(
    names: list[str], means: np.ndarray, other: np.ndarray, n: dict[str, int]
) -> Iterator[tuple[str, str, Estimate]]:
    """How many pairs of cells the judges order differently, and those of them that lie farthest apart under both."""
    i, j = np.triu_indices(len(names), k=1)
    gaps, gaps_other = means[i] - means[j], other[i] - other[j]
    found = np.flatnonzero(gaps * gaps_other < 0)
    yield "", "pairs_reversed", Estimate(float(len(found)), **n)
    apart = np.minimum(np.abs(gaps), np.abs(gaps_other))[found]
    for pair in found[np.argsort(-apart, kind="stable")][:NAMED]:
        sign = np.sign(gaps[pair])
        better, worse = (names[i[pair]], names[j[pair]])[:: int(sign)]
        yield f"{better} over {worse}", "gap", Estimate(float(sign * gaps[pair]), **n)
        yield f"{better} over {worse}", "gap_against", Estimate(float(sign * gaps_other[pair]), **n)


JUDGE_AGREEMENT = Table(
    title="Agreement of two judges",
    caption=(
        "What changes if the judge is swapped, over the responses that both scored: quadratically weighted kappa (1: "
        "the same scores, 0: as by chance), the mean difference of their scores (second minus first), the rank "
        "correlation of the cells' means, and how many pairs of cells they order differently; the up to 20 of these that lie "
        "farthest apart are named, each with the gap of its means under the first and under the second judge."
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
            (VERDICTS_FILE, layout.verdicts("{cell}", "{evalset}", "{against}")),
            compare_judges,
            tuple(metrics.AGREEMENT),
            controls=True,
            keys={"aspect": ASPECTS},
            over=judged_twice,
            together=("evalset", "judge", "against"),
        ),
    ),
)
