"""The learning rate with the lowest held-out loss of each method, and the methods compared at their best rates."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from closerlook.config.sweep import rate_of
from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.judge.aspects import ASPECTS
from closerlook.report.tables import metrics
from closerlook.report.tables.collapse import VERDICT_FILES, collapsed
from closerlook.report.tables.differences import compare_cells
from closerlook.report.tables.measuring import means
from closerlook.report.tables.selection import LORA, judged
from closerlook.report.tables.table import IDENTITY, Files, MeasuredOf, Part, Row, Table
from closerlook.report.tables.verdicts import read_verdicts
from closerlook.stats.bootstrap import Estimate, ratios

Cells = list[tuple[Row, list[Path]]]
RUN = ("model", "dataset", "size", "seed")


@dataclass(frozen=True, eq=False)
class Trial:
    """A method at one learning rate.

    held_out: the manifest's facts on held-out instances, None if the cell is not trained or has none. collapsed: on any
    evalset; None if not known yet.
    """

    row: Row
    held_out: dict[str, Any] | None
    collapsed: bool | None

    @property
    def rate(self) -> float:
        """From the name of the method."""
        return rate_of(self.row["method"], self.row["family"])


def measure_sweep(cells: Cells) -> Iterator[MeasuredOf]:
    """The losses of each rate, compared with the best rate of its method. Paths: those of `collapsed`, and the training log."""
    log_of = {row["cell"]: paths[-1] for row, paths in cells}
    for trials in _families(cells).values():
        best = best_trial(trials)
        ends = min(trial.rate for trial in trials), max(trial.rate for trial in trials)
        for trial in trials:
            row, n = trial.row, len(trial.held_out["tokens"]) if trial.held_out else 0
            yield row, {}, "learning_rate", Estimate(trial.rate, n=n)
            if trial.held_out:
                yield from ((row, {}, name, loss) for name, loss in _losses(trial.held_out, best).items())
            if log_of[row["cell"]].exists():
                yield row, {}, "trained_loss", Estimate(_last_epoch_loss(log_of[row["cell"]]), n=n)
            if trial.collapsed is not None:
                yield row, {}, "collapsed", Estimate(float(trial.collapsed), n=n)
            if best:
                yield row, {}, "chosen", Estimate(float(trial is best), n=n)
            if trial is best:
                yield row, {}, "at_end", Estimate(float(trial.rate in ends), n=n)


def compare_at_best(cells: Cells) -> Iterator[MeasuredOf]:
    """Scores of each method at its best rate, and LoRA's minus the others'. Paths: those of `collapsed`, and the verdicts."""
    verdicts = {(row["cell"], row["evalset"], row["judge"]): paths[-1] for row, paths in cells if paths[-1].exists()}
    best = {family: trial.row["cell"] for family, trials in _families(cells).items() if (trial := best_trial(trials))}
    best_rows = [row for row, _ in cells if row["cell"] == best.get(_family(row))]
    pairs = []
    for row in best_rows:
        if path := verdicts.get((row["cell"], row["evalset"], row["judge"])):
            yield from _measure_scores(row, path)
            for other in _compared_with(row, best_rows):
                if against := verdicts.get((other["cell"], other["evalset"], other["judge"])):
                    pairs.append((row | {"against": other["method"]}, [path, against]))
    for row, keys, metric, estimate in compare_cells(pairs):
        yield row, {**keys, "method": row["method"], "against": row["against"]}, metric, estimate


def best_trial(trials: list[Trial]) -> Trial | None:
    """The trial with the lowest held-out loss that did not collapse. The only trial of a method not swept needs no loss."""
    if len(trials) == 1 and not trials[0].row["sweep"]:
        return trials[0]
    losses = {trial: trial.held_out["loss"] for trial in trials if trial.held_out and trial.collapsed is False}
    return min(losses, key=losses.__getitem__, default=None)


def _families(cells: Cells) -> dict[tuple[str, ...], list[Trial]]:
    """The trials of each method on the same data with the same seed, in the grid's order."""
    by_cell: dict[str, Cells] = {}
    for row, paths in cells:
        by_cell.setdefault(row["cell"], []).append((row, paths))
    families: dict[tuple[str, ...], list[Trial]] = {}
    for rows in by_cell.values():
        row, paths = rows[0]
        verdicts = [collapsed(*paths[:4]) for _, paths in rows]
        verdict = True if True in verdicts else False if False in verdicts else None
        families.setdefault(_family(row), []).append(Trial(row, read_held_out(paths[0]), verdict))
    return families


def _family(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in (*RUN, "family"))


def read_held_out(manifest: Path) -> dict[str, Any] | None:
    """A training's facts on held-out instances; None if it has not ended, or held out none. Raises CloserlookError."""
    if not manifest.exists():
        return None
    try:
        return json.loads(manifest.read_text(encoding="utf-8")).get("held_out")
    except ValueError as error:
        raise CloserlookError(f"{manifest}: is no JSON ({error}); train the cell again") from None


def _losses(held_out: dict[str, Any], best: Trial | None) -> dict[str, Estimate]:
    """Losses per token, with intervals over instances; and the difference to the best rate's on the same instances."""
    columns = {"held_out_loss": held_out["losses"], "base_loss": held_out["base_losses"]}
    if best and best.held_out and best.held_out["tokens"] == held_out["tokens"]:
        columns["above_best"] = np.subtract(held_out["losses"], best.held_out["losses"])
    sums = {name: np.asarray(losses, dtype=np.float64) for name, losses in columns.items()}
    return means(sums, np.asarray(held_out["tokens"]))


def _last_epoch_loss(log: Path) -> float:
    """Mean loss per trained token of the last epoch's steps."""
    steps = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    last = [step for step in steps if step["epoch"] > steps[-1]["epoch"] - 1]
    tokens = sum(step["trained_tokens"] for step in last)
    return sum(step["loss"] * step["trained_tokens"] for step in last) / tokens


def _measure_scores(row: Row, verdicts: Path) -> Iterator[MeasuredOf]:
    judged = read_verdicts(verdicts)
    for aspect, score in zip(judged.aspects, ratios(judged.scores, np.ones(1)), strict=True):
        yield row, {"method": row["method"], "version": judged.version, "aspect": aspect}, "score", score


def _compared_with(row: Row, best_rows: list[Row]) -> list[Row]:
    """For LoRA (or the first method if there is no LoRA): the other methods at their best. For others: none."""
    alike = [other for other in best_rows if all(other[name] == row[name] for name in (*RUN, "evalset", "judge"))]
    rows = sorted(alike, key=lambda other: other["family"] != LORA)
    return rows[1:] if rows[0] is row else []


def swept(grid: Iterable[Row]) -> Iterator[Row]:
    """The rows of methods at a rate of a sweep, with the swept method in `family`."""
    return (row | {"family": row["sweep"]} for row in grid if row["sweep"])


def in_families(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per judge and cell with the data and seed of a sweep. A method that is not swept there is its own family."""
    rows = list(grid)
    methods: dict[tuple[str, ...], set[str]] = {}
    for row in swept(rows):
        methods.setdefault(tuple(row[name] for name in RUN), set()).add(row["family"])
    for row in judged(rows):
        families = methods.get(tuple(row[name] for name in RUN), set())
        if families and (row["sweep"] or row["method"] not in families):
            yield row | {"family": row["sweep"] or row["method"]}


SWEEP = Table(
    name="sweep",
    title="Learning rates",
    caption=(
        "One row per method and learning rate: its loss on held-out instances, lower is better. If the best rate is at "
        "an end of the range, a better one may exist outside it."
    ),
    metrics=metrics.SWEEP,
    keys=("family",),
    unit="held-out instances",
    selective=True,
    parts=(
        Part(
            (*IDENTITY[:-1], "family"),
            (),
            measure_sweep,
            tuple(metrics.SWEEP),
            over=swept,
            together=(),
            optional=(*VERDICT_FILES, layout.train_log("{cell}")),
        ),
    ),
)


MATCHED = Table(
    name="matched",
    title="Methods, each at its own best learning rate",
    caption=(
        "One row per method and judge: mean scores at the method's best learning rate (table sweep). The difference is "
        "the score of LoRA (lft) minus that of the method in against, on the same instructions."
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
            compare_at_best,
            ("score",),
            keys={"aspect": ASPECTS},
            over=in_families,
            together=(),
            optional=(*VERDICT_FILES, Files.VERDICTS),
        ),
    ),
)
