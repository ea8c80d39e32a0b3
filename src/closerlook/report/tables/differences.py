"""Score differences between two cells on the same instructions, with permutation tests corrected over the table."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.judge.aspects import ASPECTS
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import means
from closerlook.report.tables.pooling import tests_over_seeds
from closerlook.report.tables.selection import compared
from closerlook.report.tables.table import IDENTITY, Files, MeasuredOf, Part, Row, Table
from closerlook.report.tables.verdicts import aligned, read_verdicts, versions
from closerlook.stats.paired_tests import p_value


def compare_cells(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """For each comparison and aspect: the mean paired difference, its p, and p corrected over all of `cells`.

    cells: all comparisons of the table, each with the verdicts of its cell and of the cell it is compared with. Of one training,
    p is exact over the sign changes of its instructions; of several, see `tests_over_seeds`.
    """
    measured = []
    for cell, paths in cells:
        for keys, difference in _differences(*paths):
            mean = means({"difference": difference})["difference"]
            yield cell, keys, "difference", mean
            measured.append((cell, keys, mean, p_value(difference[np.isfinite(difference)])))
    yield from tests_over_seeds(measured)


def _differences(verdicts: Path, against: Path) -> Iterator[tuple[Row, np.ndarray]]:
    """For each aspect of both: [instructions] float64, NaN where one of them has no score."""
    pair = read_verdicts(verdicts), read_verdicts(against)
    for aspect in pair[0].aspects:
        if aspect in pair[1].aspects:
            scores = aligned([each.aspect(aspect) for each in pair])
            yield {"version": versions(*pair), "aspect": aspect}, scores[:, 0] - scores[:, 1]


SCORE_DIFFERENCES = Table(
    name="score_differences",
    title="Score differences between cells",
    caption=(
        "One row per judge, aspect and pair of cells: mean score of the row's cell minus that of the cell in against, "
        "on the same instructions. If Holm's p is below 0.05, the difference is significant after correction for all "
        "comparisons of the table; only that of a mean over seeds says so of more than one training."
    ),
    metrics=metrics.DIFFERENCES,
    keys=("judge", "version", "against", "aspect"),
    unit="pairs",
    asks_for="judges",
    parts=(
        Part(
            (*IDENTITY, "judge", "against"),
            (Files.VERDICTS, layout.verdicts("{against}", "{evalset}", "{judge}")),
            compare_cells,
            tuple(metrics.DIFFERENCES),
            controls=True,
            keys={"aspect": ASPECTS},
            over=compared,
            together=(),
        ),
    ),
)
