"""How far a run is: every stage of every cell, what was tried, why it failed, and the command that makes it."""

import json
import math
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from closerlook.cluster.attempts import Attempt, now
from closerlook.cluster.stage_status import State, one_line, read_failure
from closerlook.cluster.supervise import log_tail
from closerlook.cluster.survey import Found, read_manifests, survey
from closerlook.config.load import Configuration
from closerlook.config.stages import STAGES

LAST_STEPS = 10
"""Optimiser steps that tokens per second are taken of."""
LINE_BYTES = 400
"""More than a line of the training log has."""
TAIL_LINES = 3


@dataclass(frozen=True)
class Row:
    """One stage of one cell. What is not known, or does not apply, is None."""

    cell: str
    stage: str
    of: str
    """The evalset; empty for the training."""
    state: State
    reason: str | None
    """Of a failure, one of `closerlook.core.errors.Reason`."""
    message: str
    elapsed_seconds: float | None
    """Of the running attempt, else of the last one that has an end."""
    tokens_per_second: float | None
    step: int | None
    """Optimiser steps done."""
    steps: int | None
    job: str | None
    nodes: str | None
    """Slurm's nodes, or the host where there is no Slurm."""
    attempts: int
    earlier: list[str]
    """Why the earlier attempts failed."""
    log: str
    log_tail: list[str]
    """Of a failure."""
    file: str
    """What the stage makes."""
    command: str | None
    """What makes it, where it failed."""


def status(configuration: Configuration, results: Path, flags: Sequence[str]) -> list[Row]:
    """A row for each stage of each cell, in the grid's order; the commands that resume a stage end with `flags`."""
    found = survey(configuration, results, read_manifests(results))
    made = f"results/{configuration.preset.preset}"
    return [_row(one, configuration, results, made, flags) for one in found]


def totals(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """How many of each stage are in each state, stages in their order, states with the most first."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row.stage, Counter())[row.state] += 1
    order = sorted(counts, key=lambda stage: STAGES.index(stage) if stage in STAGES else len(STAGES))
    return {stage: dict(counts[stage].most_common()) for stage in order}


def as_json(configuration: Configuration, results: Path, rows: Sequence[Row]) -> dict[str, Any]:
    """The status as JSON: preset, results, when (UTC), totals, stages."""
    return {
        "preset": configuration.preset.preset,
        "results": str(results),
        "when": now().isoformat(),
        "totals": totals(rows),
        "stages": [asdict(row) for row in rows],
    }


def _row(found: Found, configuration: Configuration, results: Path, made: str, flags: Sequence[str]) -> Row:
    stage, standing, failed = found.stage, found.standing, found.standing.state == "failed"
    last = found.attempts[-1] if found.attempts else None
    log = one_line(last.log) if last else str(results / stage.log)
    pace = _pace(found, configuration, results) if stage.name == "train" else _Pace()
    file = f"{made}/{stage.file}"
    return Row(
        cell=found.cell.name,
        stage=stage.name,
        of=stage.of,
        state=standing.state,
        reason=standing.reason,
        message=standing.message,
        elapsed_seconds=_elapsed(last, standing.state) if last else None,
        tokens_per_second=pace.tokens_per_second,
        step=pace.step,
        steps=pace.steps,
        job=one_line(last.job) or None if last else None,
        nodes=one_line(last.nodes or last.host) if last else None,
        attempts=len(found.attempts),
        earlier=[attempt.reason or "unknown" for attempt in found.attempts[:-1] if not attempt.done],
        log=log,
        log_tail=_tail(results / stage.folder, stage.name, last, Path(log)) if failed else [],
        file=file,
        command=shlex.join(["snakemake", file, *flags]) if failed else None,
    )


def _elapsed(last: Attempt, state: State) -> float | None:
    end = last.ended or (now() if state == "running" else None)
    return max(0.0, (_utc(end) - _utc(last.started)).total_seconds()) if end else None


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _tail(folder: Path, stage: str, last: Attempt | None, log: Path) -> list[str]:
    """The end of the log, as the failure kept it; of an attempt that could not keep it, what the log holds now."""
    failure = read_failure(folder, stage) or {}
    kept = failure.get("log_tail")
    lines: list[Any] = kept if isinstance(kept, list) else []
    if not lines or (last and last.ended is None):
        try:
            lines = log_tail(log)
        except OSError:
            lines = []
    return [one_line(line) for line in lines[-TAIL_LINES:]]


@dataclass(frozen=True)
class _Pace:
    tokens_per_second: float | None = None
    step: int | None = None
    steps: int | None = None


def _pace(found: Found, configuration: Configuration, results: Path) -> _Pace:
    """By the end of the training log, which lies among the checkpoints until the training is done."""
    folder = results / found.stage.folder
    file = folder / "train_log.jsonl"
    lines = _last_lines(file if file.is_file() else folder / "checkpoints" / file.name)
    try:
        tokens, seconds = (sum(float(line[key]) for line in lines) for key in ("tokens", "seconds"))
        step, epoch = int(lines[-1]["step"]), float(lines[-1]["epoch"])
        epochs = configuration.train_settings(found.cell).epochs
        steps = math.ceil(round(epochs * step / epoch, 6))  # as many instances go into each step
        rate = tokens / seconds
        return _Pace(rate if math.isfinite(rate) else None, step, steps)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError):
        return _Pace()


def _last_lines(log: Path) -> list[dict[str, Any]]:
    """The last whole lines of a training log; a line that is being written is left out."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - LAST_STEPS * LINE_BYTES))
            lines = stream.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    values = []
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue  # the first one is cut, and the last one perhaps
        if isinstance(value, dict):
            values.append(value)
    return values[-LAST_STEPS:]
