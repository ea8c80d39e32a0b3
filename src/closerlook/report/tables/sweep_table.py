"""The tables of learning rates: each rate of each method, and the methods compared at their best ones."""

from collections.abc import Iterable, Iterator

from closerlook.judge.aspects import ASPECTS
from closerlook.report.tables import metrics
from closerlook.report.tables.collapse_table import VERDICT_FILES
from closerlook.report.tables.pairing import judged
from closerlook.report.tables.table import IDENTITY, Part, Row, Table

LOG_FILE = "cells/{cell}/train_log.jsonl"
VERDICTS_FILE = "cells/{cell}/{evalset}/verdicts/{judge}.parquet"


def swept(grid: Iterable[Row]) -> Iterator[Row]:
    """The rows of methods that are a rate of a sweep, with the method swept in `family`."""
    return (row | {"family": row["sweep"]} for row in grid if row.get("sweep"))


def in_families(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per judge and cell tuned on what some sweep is tuned on; a method that is not swept is a family of its own."""
    rows = list(grid)
    there = {(row["model"], row["dataset"], row["size"], row["seed"]) for row in rows if row.get("sweep")}
    for row in judged(rows):
        if (row["model"], row["dataset"], row["size"], row["seed"]) in there:
            yield row | {"family": row.get("sweep") or row["method"]}


SWEEPS: dict[str, Table] = {
    "sweep": Table(
        title="Learning rates",
        caption=(
            "Each method at each learning rate. Held-out loss: cross entropy per response token of instances that no rate was "
            "trained on, after the training, and before it (the base model's). Above the best rate's: paired by instance, so an "
            "interval above 0 says that the best rate is better by more than chance. Training loss: mean over the last epoch. "
            "The best rate is that of the least held-out loss among those that did not collapse (on any evalset; table "
            "collapse says what that is). Where it is the least or the largest rate of the sweep, a better one may lie beyond."
        ),
        metrics=metrics.SWEEP,
        keys=("family",),
        unit="held-out instances",
        selective=True,
        parts=(
            Part(
                (*IDENTITY[:-1], "family"),
                (),
                "closerlook.report.tables.sweep:of_families",
                tuple(metrics.SWEEP),
                over=swept,
                together=(),
                optional=(*VERDICT_FILES, LOG_FILE),
            ),
        ),
    ),
    "matched": Table(
        title="Methods, each at its own best learning rate",
        caption=(
            "Scores of each method at the learning rate that is its best by held-out loss (table sweep); a method that is not "
            "swept at its only one. Difference: LoRA fine-tuning's score (lft; the first method of the grid where there is none) "
            "less that of the other method (against) on the same instruction by the same judge, where both have one. p: exact "
            "two-sided permutation test of the paired differences. p, Holm: corrected over all comparisons of this table."
        ),
        metrics=metrics.MATCHED,
        keys=("family", "against", "judge", "version", "aspect"),
        spread=("aspect",),
        sections={
            "Score at the best learning rate": ("score",),
            "Difference": ("difference",),
            "p": ("p",),
            "p, Holm": ("p_holm",),
        },
        asks_for="judges",
        selective=True,
        parts=(
            Part(
                ("model", "dataset", "size", "seed", "evalset", "family", "judge"),
                (),
                "closerlook.report.tables.sweep:of_best",
                ("score",),
                keys={"aspect": ASPECTS},
                over=in_families,
                together=(),
                optional=(*VERDICT_FILES, VERDICTS_FILE),
            ),
        ),
    ),
}
