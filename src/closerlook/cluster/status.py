"""The status of a run: every stage of every cell, its attempts, why it failed, and the command that resumes it."""

import json
import math
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from closerlook.cluster.attempts import Attempt, now, read_failure
from closerlook.cluster.stage_status import StageRecord, State, one_line, read_manifests, survey
from closerlook.cluster.supervise import log_tail
from closerlook.config.load import Configuration
from closerlook.config.stages import STAGES

LAST_STEPS = 10
"""Optimizer steps over which tokens per second are averaged."""
LINE_BYTES = 400
"""Upper bound of the length of a line of the training log."""
TAIL_LINES = 3


@dataclass(frozen=True)
class Row:
    """One stage of one cell. A value that is unknown or does not apply is None."""

    cell: str
    stage: str
    of: str
    """The evalset; empty for training."""
    state: State
    reason: str | None
    """Why it failed: one of `closerlook.core.errors.Reason`."""
    message: str
    elapsed_seconds: float | None
    """Duration of the running attempt, or of the last one if that has an end."""
    tokens_per_second: float | None
    step: int | None
    """Optimizer steps done."""
    steps: int | None
    job: str | None
    nodes: str | None
    """Slurm's nodes, or the host without Slurm."""
    attempts: int
    earlier: list[str]
    """Reasons of the earlier failures."""
    log: str
    log_tail: list[str]
    """Last lines of the log of a failure."""
    file: str
    """The file that the stage writes."""
    command: str | None
    """The command that resumes it after a failure."""


def status(configuration: Configuration, results: Path, flags: Sequence[str]) -> list[Row]:
    """Return a row for each stage of each cell, in the order of the grid. The commands that resume a stage end with `flags`."""
    records = survey(configuration, results, read_manifests(results))
    return [_row(record, configuration, results, flags) for record in records]


def totals(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Count the states of each stage; stages in their order, the most frequent state first."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row.stage, Counter())[row.state] += 1
    order = sorted(counts, key=lambda stage: STAGES.index(stage) if stage in STAGES else len(STAGES))
    return {stage: dict(counts[stage].most_common()) for stage in order}


def as_json(configuration: Configuration, results: Path, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the status as JSON: preset, results, when (UTC), totals, stages."""
    return {
        "preset": configuration.preset.preset,
        "results": str(results),
        "when": now().isoformat(),
        "totals": totals(rows),
        "stages": [asdict(row) for row in rows],
    }


def _row(record: StageRecord, configuration: Configuration, results: Path, flags: Sequence[str]) -> Row:
    stage, status, failed = record.stage, record.status, record.status.state == "failed"
    last = record.attempts[-1] if record.attempts else None
    log = one_line(last.log) if last else str(results / stage.log)
    speed, step, steps = _progress(record, configuration, results)
    file = f"results/{configuration.preset.preset}/{stage.file}"
    return Row(
        cell=record.cell.name,
        stage=stage.name,
        of=stage.of,
        state=status.state,
        reason=status.reason,
        message=status.message,
        elapsed_seconds=_elapsed(last, status.state) if last else None,
        tokens_per_second=speed,
        step=step,
        steps=steps,
        job=one_line(last.job) or None if last else None,
        nodes=one_line(last.nodes or last.host) if last else None,
        attempts=len(record.attempts),
        earlier=[attempt.reason or "unknown" for attempt in record.attempts[:-1] if not attempt.done],
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
    """Return the end of the log from failure.json; if the last attempt has no end, from the log itself."""
    failure = read_failure(folder, stage) or {}
    lines = failure.get("log_tail")
    if not isinstance(lines, list) or not lines or (last and last.ended is None):
        try:
            lines = log_tail(log)
        except OSError:
            lines = []
    return [one_line(line) for line in lines[-TAIL_LINES:]]


def _progress(
    record: StageRecord, configuration: Configuration, results: Path
) -> tuple[float | None, int | None, int | None]:
    """Return tokens per second, steps done and steps in all, from the end of a training's log."""
    if record.stage.name != "train":
        return None, None, None
    folder = results / record.stage.folder
    file = folder / "train_log.jsonl"
    lines = _last_lines(file if file.is_file() else folder / "checkpoints" / file.name)  # until the training is done
    try:
        tokens, seconds = (sum(float(line[key]) for line in lines) for key in ("tokens", "seconds"))
        step, epoch = int(lines[-1]["step"]), float(lines[-1]["epoch"])
        epochs = configuration.train_settings(record.cell).epochs
        steps = math.ceil(round(epochs * step / epoch, 6))  # each step takes the same number of instances
        speed = tokens / seconds
        return speed if math.isfinite(speed) else None, step, steps
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None, None, None


def _last_lines(log: Path) -> list[dict[str, Any]]:
    """Return the last complete lines of a training log."""
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
            continue  # the first line is cut, and perhaps the last
        if isinstance(value, dict):
            values.append(value)
    return values[-LAST_STEPS:]
