"""Where each stage of each cell stands, judged by files alone. Snakemake, which knows all inputs too, has the last word."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from closerlook.cluster import attempts
from closerlook.cluster.adoption import FINISHED
from closerlook.cluster.attempts import Attempt
from closerlook.cluster.stage_status import Jobs, Standing, judge, read_failure
from closerlook.config.catalog import ApiModel
from closerlook.config.cell import CellConfig
from closerlook.config.grid import Cell
from closerlook.config.load import Configuration
from closerlook.config.stages import Stage, stages


@dataclass(frozen=True)
class Found:
    """A stage of a cell: what was tried, and where it stands."""

    cell: Cell
    stage: Stage
    attempts: list[Attempt]
    standing: Standing


def survey(configuration: Configuration, results: Path, manifests: Mapping[Path, Mapping[str, Any]]) -> list[Found]:
    """Every stage of every cell, in the grid's order; `manifests` as read_manifests gives them. Slurm is asked once."""
    tried = [
        (cell, stage, attempts.read(results / stage.folder, stage.name))
        for cell in configuration.cells
        for stage in stages(configuration, cell)
    ]
    jobs = Jobs(made[-1] for _, _, made in tried if made)
    surveyor = _Surveyor(configuration, results, manifests, jobs)
    return [Found(cell, stage, made, surveyor.standing(cell, stage, made)) for cell, stage, made in tried]


class _Surveyor:
    """Judges stages in the order they are made; what many share is looked at once."""

    def __init__(
        self, configuration: Configuration, results: Path, manifests: Mapping[Path, Mapping[str, Any]], jobs: Jobs
    ) -> None:
        self.configuration, self.results, self.manifests, self.jobs = configuration, results, manifests, jobs
        self._states: dict[str, str] = {}
        models = configuration.catalog.models.items()
        self._elsewhere = {f"models/{name}" for name, model in models if isinstance(model.source, ApiModel)}
        self._is_there = lru_cache(maxsize=None)(lambda path: (results / path).exists())

    def standing(self, cell: Cell, stage: Stage, made: list[Attempt]) -> Standing:
        """Where a stage stands; the stages that it needs were judged before."""
        found = self._standing(cell, stage, made)
        self._states[stage.file] = found.state
        return found

    def _standing(self, cell: Cell, stage: Stage, made: list[Attempt]) -> Standing:
        folder = self.results / stage.folder
        whole = self._is_there(stage.file)
        failure = None if whole or made else read_failure(folder, stage.name)
        attempted = judge(made, failure, self.jobs)
        if attempted and (attempted.state == "running" or not whole):
            return attempted
        if not whole:
            if made and made[-1].done and (attempts.folder_of(folder, stage.name) / FINISHED).is_dir():
                return Standing(
                    "waiting", message=f"job {made[-1].job} finished it; a job of the new driver takes it over"
                )
            missing = [path for path in stage.inputs if not self._is_there(path) and path not in self._elsewhere]
            return Standing("waiting", message=f"for {self.results / missing[0]}") if missing else Standing("new")
        for path in stage.inputs:
            if (state := self._states.get(path, "done")) != "done":
                return Standing("stale", message=f"{self.results / path}, which it was made from, is {state}")
        if stage.name != "train":
            return Standing("done")
        return trained_standing(self.manifests.get(folder, {}), self.configuration.cell_config(cell))


def read_manifests(results: Path) -> dict[Path, dict[str, Any]]:
    """The manifest of every trained cell under `results`, by the cell's folder; {} for one that is no JSON mapping."""
    found = {}
    for file in sorted(results.glob("cells/*/*/*/manifest.json")):
        try:
            value = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            value = None
        found[file.parent] = value if isinstance(value, dict) else {}
    return found


def trained_standing(manifest: Mapping[str, Any], config: CellConfig) -> Standing:
    """Of a trained cell by its manifest, which says that it is done, and under which configuration."""
    if manifest.get("config_digest") == config.training_digest:
        return Standing("done")
    before = manifest.get("config")
    if not isinstance(before, dict) or not isinstance(before.get("train"), dict):
        return Standing("stale", message="its manifest.json has no configuration")
    now = config.model_dump(mode="json")
    changed = [
        f"{key} was {old.get(key)}, is {new.get(key)}"
        for old, new in ((before["train"], now["train"]), (before, now))
        for key in new
        if key not in ("train", "template", "generate") and old.get(key) != new.get(key)
    ]
    if before.get("template") != now["template"]:
        changed.append("the prompt template changed")
    return Standing("stale", message="; ".join(dict.fromkeys(changed)))


def to_do(standings: Sequence[Standing]) -> Standing:
    """Where several stages stand as one, for a plan: what waits for its inputs is as new as they are."""
    for state in ("running", "failed", "stale", "waiting", "new"):
        for standing in standings:
            if standing.state == state:
                return Standing("new") if state == "waiting" else standing
    return Standing("done")
