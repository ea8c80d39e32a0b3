"""Cell against cell on the same instructions: mean difference, exact permutation test, correction for the table's size."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.judge.aspects import ASPECTS
from closerlook.report.tables import metrics
from closerlook.report.tables.selection import compared
from closerlook.report.tables.table import IDENTITY, VERDICTS_FILE, MeasuredOf, Part, Row, Table
from closerlook.report.tables.verdicts import Verdicts, aligned, read_verdicts
from closerlook.stats.bootstrap import Estimate, ratios
from closerlook.stats.paired_tests import holm, p_value


def compare_cells(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
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


SCORE_DIFFERENCES = Table(
    title="Differences of scores, cell against cell",
    caption=(
        "Mean difference of two cells' scores of the same instruction by the same judge, where both have one: every cell "
        "against its base model (base), and every other method against LoRA fine-tuning on the same data (lft). p: exact "
        "two-sided permutation test of the paired differences (their signs flipped in all ways). p, Holm: corrected over "
        "all comparisons of this table, so that below 0.05 it is not merely the luckiest of many."
    ),
    metrics=metrics.DIFFERENCES,
    keys=("judge", "version", "against", "aspect"),
    unit="pairs",
    asks_for="judges",
    parts=(
        Part(
            (*IDENTITY, "judge", "against"),
            (VERDICTS_FILE, layout.verdicts("{against}", "{evalset}", "{judge}")),
            compare_cells,
            tuple(metrics.DIFFERENCES),
            controls=True,
            keys={"aspect": ASPECTS},
            over=compared,
            together=(),
        ),
    ),
)
