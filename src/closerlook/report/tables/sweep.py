"""Which learning rate is a method's best by the loss on held-out instances, and how the methods compare at their best ones."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.judge.aspects import ASPECTS
from closerlook.report.tables import metrics
from closerlook.report.tables.collapse import VERDICT_FILES, collapsed
from closerlook.report.tables.differences import compare_cells
from closerlook.report.tables.selection import LORA, judged
from closerlook.report.tables.table import IDENTITY, VERDICTS_FILE, MeasuredOf, Part, Row, Table
from closerlook.report.tables.verdicts import read_verdicts
from closerlook.stats.bootstrap import Estimate, ratios

Cells = list[tuple[Row, list[Path]]]
RUN = ("model", "dataset", "size", "seed")


@dataclass(frozen=True, eq=False)
class Trial:
    """A method at one learning rate. facts: the manifest's on held-out instances, None where the cell is not trained or has none.

    collapsed: on any evalset; None where no answers are there to tell.
    """

    row: Row
    facts: dict[str, Any] | None
    collapsed: bool | None

    @property
    def rate(self) -> float:
        """As its name says, which `closerlook.config.sweep` gave it."""
        return float(str(self.row["method"]).removeprefix(f"{self.row['family']}-lr"))

    @property
    def fit(self) -> bool:
        """Whether it may be the best."""
        return self.facts is not None and self.collapsed is False


def measure_sweep(cells: Cells) -> Iterator[MeasuredOf]:
    """Each rate's losses, beside the best rate's of its method. Paths: those of `collapsed`, and the training log."""
    log_of = {row["cell"]: paths[-1] for row, paths in cells}
    for trials in _families(cells).values():
        best = best_of(trials)
        ends = min(trial.rate for trial in trials), max(trial.rate for trial in trials)
        for trial in trials:
            row, n = trial.row, len(trial.facts["tokens"]) if trial.facts else 0
            yield row, {}, "learning_rate", Estimate(trial.rate, n=n)
            if trial.facts:
                yield from ((row, {}, name, loss) for name, loss in _losses(trial.facts, best).items())
            if log_of[row["cell"]].exists():
                yield row, {}, "trained_loss", Estimate(_last_epoch(log_of[row["cell"]]), n=n)
            if trial.collapsed is not None:
                yield row, {}, "collapsed", Estimate(float(trial.collapsed), n=n)
            if best:
                yield row, {}, "chosen", Estimate(float(trial is best), n=n)
            if trial is best:
                yield row, {}, "at_end", Estimate(float(trial.rate in ends), n=n)


def compare_at_best(cells: Cells) -> Iterator[MeasuredOf]:
    """Scores of each method at its best rate, and LoRA's less the others'. Paths: those of `collapsed`, and the verdicts."""
    verdicts = {(row["cell"], row["evalset"], row["judge"]): paths[-1] for row, paths in cells if paths[-1].exists()}
    best = {family: trial.row["cell"] for family, trials in _families(cells).items() if (trial := best_of(trials))}
    shown = [row for row, _ in cells if row["cell"] == best.get(_family(row))]
    pairs = []
    for row in shown:
        if path := verdicts.get((row["cell"], row["evalset"], row["judge"])):
            yield from _scores(row, path)
            for other in _others(row, shown):
                if against := verdicts.get((other["cell"], other["evalset"], other["judge"])):
                    pairs.append((row | {"against": other["method"]}, [path, against]))
    for row, keys, metric, estimate in compare_cells(pairs):
        yield row, {**keys, "method": row["method"], "against": row["against"]}, metric, estimate


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """The trial of the least held-out loss among those that are fit; one that needs no loss, being the only one of its method."""
    trials = list(trials)
    if len(trials) == 1 and not trials[0].row.get("sweep"):
        return trials[0]
    return min((trial for trial in trials if trial.fit), key=_loss, default=None)


def _loss(trial: Trial) -> float:
    assert trial.facts
    return trial.facts["loss"]


def _families(cells: Cells) -> dict[tuple[str, ...], list[Trial]]:
    """The trials of each method on the same data with the same seed, in the grid's order."""
    of_cell: dict[str, Cells] = {}
    for row, paths in cells:
        of_cell.setdefault(row["cell"], []).append((row, paths))
    families: dict[tuple[str, ...], list[Trial]] = {}
    for rows in of_cell.values():
        row, paths = rows[0]
        found = [collapsed(*paths[:4]) for _, paths in rows]
        verdict = True if True in found else False if False in found else None
        families.setdefault(_family(row), []).append(Trial(row, _held_out(paths[0]), verdict))
    return families


def _family(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in (*RUN, "family"))


def _held_out(manifest: Path) -> dict[str, Any] | None:
    if not manifest.exists():
        return None
    try:
        return json.loads(manifest.read_text(encoding="utf-8")).get("held_out")
    except ValueError as error:
        raise CloserlookError(f"{manifest}: is no JSON ({error}); train the cell again") from None


def _losses(facts: dict[str, Any], best: Trial | None) -> dict[str, Estimate]:
    """Losses per token, with intervals over instances; and the difference to the best rate's on the same instances."""
    columns = {"held_out_loss": facts["losses"], "base_loss": facts["base_losses"]}
    if best and best.facts and best.facts["tokens"] == facts["tokens"]:
        columns["above_best"] = np.subtract(facts["losses"], best.facts["losses"])
    sums = np.column_stack([np.asarray(values, dtype=np.float64) for values in columns.values()])
    return dict(zip(columns, ratios(sums, np.asarray(facts["tokens"])[:, None]), strict=True))


def _last_epoch(log: Path) -> float:
    """Mean loss per trained token of the last epoch's steps."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    last = [line for line in lines if line["epoch"] > lines[-1]["epoch"] - 1]
    tokens = sum(line["trained_tokens"] for line in last)
    return sum(line["loss"] * line["trained_tokens"] for line in last) / tokens


def _scores(row: Row, verdicts: Path) -> Iterator[MeasuredOf]:
    judged = read_verdicts(verdicts)
    for aspect, score in zip(judged.aspects, ratios(judged.scores, np.ones((len(judged.ids), 1))), strict=True):
        yield row, {"method": row["method"], "version": judged.version, "aspect": aspect}, "score", score


def _others(row: Row, shown: list[Row]) -> list[Row]:
    """What a method at its best is compared with: LoRA, or else the first method, with each of the others; those with none."""
    alike = [one for one in shown if all(one[name] == row[name] for name in (*RUN, "evalset", "judge"))]
    rows = sorted(alike, key=lambda one: one["family"] != LORA)
    return rows[1:] if rows[0] is row else []


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


SWEEP = Table(
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
            measure_sweep,
            tuple(metrics.SWEEP),
            over=swept,
            together=(),
            optional=(*VERDICT_FILES, layout.train_log("{cell}")),
        ),
    ),
)


MATCHED = Table(
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
            compare_at_best,
            ("score",),
            keys={"aspect": ASPECTS},
            over=in_families,
            together=(),
            optional=(*VERDICT_FILES, VERDICTS_FILE),
        ),
    ),
)
