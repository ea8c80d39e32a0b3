"""Scores on benchmark tasks, compared with the base model's on the same items."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from closerlook.config.rows import with_base
from closerlook.core import layout
from closerlook.core.files import read_parquet
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import damaged, means, shares
from closerlook.report.tables.pooling import tests_over_seeds
from closerlook.report.tables.table import IDENTITY, Measured, MeasuredOf, Part, Row, Table
from closerlook.stats.bootstrap import Estimate
from closerlook.stats.paired_tests import p_value

CELL = IDENTITY[:-1]


class Scores:
    """The items of a task as a model scored them, grouped by subject.

    ids: of the items. subjects: [items] int64, the number of each item's subject. Raises CloserlookError if there are no items.
    """

    def __init__(self, file: Path) -> None:
        self.rows = read_parquet(file).to_pylist()
        if not self.rows:
            raise damaged(file, "has no items")
        self.ids = [row["id"] for row in self.rows]
        names = [row["id"] if row["subject"] is None else row["subject"] for row in self.rows]
        self.subjects = np.unique(names, return_inverse=True)[1]
        self.rolling = self.rows[0]["score"] is None
        self.binary = all(row["correct"] is not None for row in self.rows)
        self.choices = all(row["answer"] is not None for row in self.rows)

    def column(self, name: str) -> np.ndarray:
        """A column of numbers or booleans, or the first entry of each of its lists: [items] float64."""
        values = [row[name] for row in self.rows]
        return np.array([value[0] if isinstance(value, list) else value for value in values], dtype=np.float64)

    def mean(self, values: np.ndarray, counts: np.ndarray | None = None) -> Estimate:
        """The mean of values [items], or their sum divided by that of counts [items], with its interval over subjects."""
        sums, weights = self.by_subject(values, counts)
        return means({"mean": sums}, weights)["mean"]

    def share(self, values: np.ndarray) -> Estimate:
        """The share of items whose value [items] is true, with its interval over subjects."""
        sums, weights = self.by_subject(values)
        return shares({"share": sums}, weights)["share"]

    def by_subject(self, values: np.ndarray, counts: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The sum of the values [items] of each subject, and that of the counts [items] or the number of items: [subjects]."""
        weights = np.ones(len(values)) if counts is None else counts
        return np.bincount(self.subjects, weights=values), np.bincount(self.subjects, weights=weights)

    def answer_log_probs(self) -> np.ndarray:
        """Log-probability of the right choice among the choices: [items] float64, in nats."""
        right = [
            row["log_probs"][row["answer"]] - np.logaddexp.reduce(np.array(row["log_probs"], dtype=np.float64))
            for row in self.rows
        ]
        return np.array(right)


def measure_scores(file: Path) -> Iterator[Measured]:
    """Accuracy, with chance and the log-probability of the right choice, or the mean score; of texts, nats per token.

    And how many items are longer than the model's context.
    """
    scores = Scores(file)
    if cut := sum(row["cut"] for row in scores.rows):
        yield {}, "cut", Estimate(float(cut), n=len(scores.rows))
    if scores.rolling:
        nats = -scores.column("log_probs")
        yield {}, "nats_per_token", scores.mean(nats, scores.column("tokens"))
        yield {}, "bits_per_byte", scores.mean(nats / np.log(2), scores.column("bytes"))
        return
    if not scores.binary:
        yield {}, "score", scores.mean(scores.column("score"))
        return
    yield {}, "accuracy", scores.share(scores.column("correct"))
    if scores.choices:
        yield {}, "accuracy_per_byte", scores.share(scores.column("correct_per_byte"))
        yield {}, "answer_log_prob", scores.mean(scores.answer_log_probs())
        yield {}, "chance", scores.mean(np.array([1 / len(row["log_probs"]) for row in scores.rows]))


def subtract_scores(file: Path, base_file: Path) -> tuple[Estimate, bool]:
    """The mean score minus the base model's on the same items, or of texts nats per token gained; and whether they are texts."""
    tuned, base = _read_pair(file, base_file)
    name, counts = ("log_probs", tuned.column("tokens")) if tuned.rolling else ("score", None)
    return tuned.mean(tuned.column(name) - base.column(name), counts), tuned.rolling


def _read_pair(file: Path, base_file: Path) -> tuple[Scores, Scores]:
    tuned, base = Scores(file), Scores(base_file)
    if tuned.ids != base.ids:
        raise damaged(file, "has other items than the base model's file")
    return tuned, base


def compare_with_base(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """For each cell: the difference to the base model on the same items of one task, and the items that changed sides.

    cells: all comparisons on the task, over which p is corrected, each with the scores of its cell and of the base model.
    """
    tested: list[tuple[Row, Row, Estimate, float | None]] = []
    for cell, (file, base_file) in cells:
        tuned, base = _read_pair(file, base_file)
        if tuned.rolling:
            nats = base.column("log_probs") - tuned.column("log_probs")  # how many more the tuned model needs
            yield cell, {}, "difference_to_base", tuned.mean(nats, tuned.column("tokens"))
            continue
        difference = tuned.column("score") - base.column("score")
        mean = tuned.mean(difference)
        if not (tuned.binary and base.binary):
            yield cell, {}, "difference_to_base", mean
            continue
        # Subjects change signs, all their items at once. Where each item is its own subject, this is McNemar's exact test.
        tested.append((cell, {}, mean, p_value(tuned.by_subject(difference)[0])))
        yield cell, {}, "difference_to_base", mean
        yield cell, {}, "flipped_to_wrong", tuned.share(difference < 0)
        yield cell, {}, "flipped_to_right", tuned.share(difference > 0)
    yield from tests_over_seeds(tested)


def _scored(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell and task, in `task`."""
    cells = {row["cell"]: row for row in grid}  # whatever its evalsets
    return (row | {"task": task} for row in cells.values() for task in row["benchmarks"])


def scored_with_base(grid: Iterable[Row]) -> Iterator[Row]:
    """Those of cells whose base model is scored too, with its cell in `against`."""
    return (row | {"against": base["cell"]} for row, base in with_base(_scored(grid), "task"))


BENCHMARKS = Table(
    name="benchmarks",
    title="Benchmarks",
    caption=(
        "One row per cell and task: its score, and the paired difference to the base model on the same items. Flipped: items "
        "that only the base model (to wrong) or only the tuned model (to right) answers correctly."
    ),
    metrics=metrics.BENCHMARKS,
    keys=("task",),
    unit="subjects",
    asks_for="benchmarks",
    parts=(
        Part(
            (*CELL, "task"),
            (layout.benchmark("{cell}", "{task}"),),
            measure_scores,
            ("accuracy",),
            controls=True,
            over=_scored,
        ),
        Part(
            (*CELL, "task"),
            (layout.benchmark("{cell}", "{task}"), layout.benchmark("{against}", "{task}")),
            compare_with_base,
            ("difference_to_base",),
            over=scored_with_base,
            together=("task",),
        ),
    ),
)
