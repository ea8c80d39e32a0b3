"""The status of each stage of each cell, from its files, from Slurm and from the process table.

Snakemake has the last word: it also compares the times of all inputs.
"""

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from closerlook.cluster import attempts, slurm
from closerlook.cluster.adoption import FINISHED
from closerlook.cluster.attempts import Attempt
from closerlook.config.catalog import ApiModel
from closerlook.config.cell import CellConfig
from closerlook.config.grid import Cell
from closerlook.config.load import Configuration
from closerlook.config.stages import Stage, stages
from closerlook.core import layout

State = Literal["done", "running", "failed", "waiting", "stale", "new"]
QUEUED = frozenset({"PENDING", "CONFIGURING", "REQUEUED"})


@dataclass(frozen=True)
class StageStatus:
    """A state, the reason of a failure, and a message of one line."""

    state: State
    reason: str | None = None
    message: str = ""

    @property
    def why(self) -> str:
        """Reason and message together."""
        return ": ".join(filter(None, (self.reason, self.message)))


@dataclass(frozen=True)
class StageRecord:
    """A stage of a cell with its attempts and its status."""

    cell: Cell
    stage: Stage
    attempts: list[Attempt]
    status: StageStatus


JobStates = Mapping[str, str] | None
"""Slurm's states of jobs by id; None if Slurm does not answer."""
Manifests = Mapping[Path, Mapping[str, Any]]
"""The manifest.json of each trained cell, by the cell's folder."""


def read_manifests(results: Path) -> dict[Path, dict[str, Any]]:
    """Read the manifest of every trained cell under `results`; a malformed one becomes {}."""
    manifests = {}
    for file in sorted(results.glob("cells/*/*/*/manifest.json")):
        try:
            value = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            value = None
        manifests[file.parent] = value if isinstance(value, dict) else {}
    return manifests


def survey(configuration: Configuration, results: Path, manifests: Manifests) -> list[StageRecord]:
    """Return every stage of every cell with its status, in the order of the grid. Slurm is asked once for all."""
    tried = [
        (cell, stage, attempts.read(results / stage.folder, stage.name))
        for cell in configuration.cells
        for stage in stages(configuration, cell)
    ]
    last_attempts = [earlier[-1] for _, _, earlier in tried if earlier]
    jobs = slurm.job_states({attempt.job for attempt in last_attempts if attempt.job and not attempt.done})
    surveyor = _Surveyor(configuration, results, manifests, jobs)
    return [StageRecord(cell, stage, earlier, surveyor.survey(cell, stage, earlier)) for cell, stage, earlier in tried]


def combine(statuses: Sequence[StageStatus]) -> StageStatus:
    """Combine the statuses of several stages into one, for a plan. A stage that waits for its inputs counts as new."""
    for state in ("running", "failed", "stale", "waiting", "new"):
        for status in statuses:
            if status.state == state:
                return StageStatus("new") if state == "waiting" else status
    return StageStatus("done")


class _Surveyor:
    """Determines the status of stages, each after the stages that it depends on. jobs: Slurm's states, or None."""

    def __init__(self, configuration: Configuration, results: Path, manifests: Manifests, jobs: JobStates) -> None:
        self.configuration, self.results, self.manifests, self.jobs = configuration, results, manifests, jobs
        self._states: dict[str, State] = {}
        models = configuration.catalog.models.items()
        self._api_models = {layout.model(name) for name, model in models if isinstance(model.source, ApiModel)}
        self._exists = cache(lambda path: (results / path).exists())

    def survey(self, cell: Cell, stage: Stage, earlier: list[Attempt]) -> StageStatus:
        """Return the status of a stage."""
        status = self._status(cell, stage, earlier)
        self._states[stage.file] = status.state
        return status

    def _status(self, cell: Cell, stage: Stage, earlier: list[Attempt]) -> StageStatus:
        folder, complete = self.results / stage.folder, self._exists(stage.file)
        failure = None if complete or earlier else attempts.read_failure(folder, stage.name)
        status = _status_of_attempts(earlier, failure, self.jobs)
        if status and (status.state == "running" or not complete):
            return status
        if not complete:
            if earlier and earlier[-1].done and (attempts.records_folder(folder, stage.name) / FINISHED).is_dir():
                message = (
                    f"job {earlier[-1].job} of an earlier driver finished it; a job of the new driver takes it over"
                )
                return StageStatus("waiting", message=message)
            missing = [path for path in stage.inputs if not self._exists(path) and path not in self._api_models]
            return StageStatus("waiting", message=f"for {self.results / missing[0]}") if missing else StageStatus("new")
        for path in stage.inputs:
            if (state := self._states.get(path, "done")) != "done":
                return StageStatus("stale", message=f"its input {self.results / path} is {state}")
        if stage.name != "train":
            return StageStatus("done")
        return _training_status(self.manifests.get(folder, {}), self.configuration.cell_config(cell))


def _status_of_attempts(
    earlier: Sequence[Attempt], failure: Mapping[str, Any] | None, jobs: JobStates
) -> StageStatus | None:
    """Running or failed; None if nothing was attempted, or the last attempt succeeded."""
    if not earlier:
        if failure is None:
            return None
        return StageStatus("failed", one_line(failure.get("reason")) or "unknown", one_line(failure.get("message")))
    last = earlier[-1]
    if last.done:
        return None
    state = jobs.get(last.job) if jobs and last.job else None
    if last.ended is None:
        return _status_without_end(last, state, jobs)
    if state in QUEUED:
        return StageStatus("running", message=f"waits in Slurm's queue again after: {last.reason}")
    return StageStatus("failed", last.reason, one_line(last.message))


def _status_without_end(last: Attempt, state: str | None, jobs: JobStates) -> StageStatus:
    """Running or failed. An attempt that cannot be checked counts as running, so that nobody starts a second one."""
    if last.job and jobs is None:
        return StageStatus("running", message=f"Slurm does not answer; job {last.job} may have ended")
    if last.job is None and last.host != socket.gethostname():
        host = one_line(last.host)
        return StageStatus("running", message=f"runs on {host}, which cannot be checked from here; it may have ended")
    if state in QUEUED:
        return StageStatus("running", message=f"waits in Slurm's queue: {state}")
    if state in slurm.LIVE or (last.job is None and attempts.is_alive(last)):
        return StageStatus("running", message=f"is stopping: {last.reason}" if last.reason else "")
    if state in slurm.FAILED:
        return StageStatus("failed", *slurm.FAILED[state])
    if last.reason:
        return StageStatus("failed", last.reason, one_line(last.message))
    suffix = f"; Slurm's state of its job: {state}" if state else ""
    return StageStatus("failed", "unknown", f"killed before it could say why{suffix}")


def _training_status(manifest: Mapping[str, Any], config: CellConfig) -> StageStatus:
    """Done, or stale if the cell was trained with another configuration."""
    if manifest.get("config_digest") == config.training_digest:
        return StageStatus("done")
    trained = manifest.get("config")
    if not isinstance(trained, dict) or not isinstance(trained.get("train"), dict):
        return StageStatus("stale", message="its manifest.json has no configuration")
    current = config.model_dump(mode="json")
    changed = [
        f"{key} was {old.get(key)}, is {new.get(key)}"
        for old, new in ((trained["train"], current["train"]), (trained, current))
        for key in new
        if key not in ("train", "template", "generate") and old.get(key) != new.get(key)
    ]
    if trained.get("template") != current["template"]:
        changed.append("the prompt template changed")
    return StageStatus("stale", message="; ".join(dict.fromkeys(changed)))


def one_line(value: Any) -> str:
    """Return any value as printable text on one line; "" for None."""
    text = "" if value is None else str(value)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
