"""Where each stage of each cell stands, judged by files alone. Snakemake, which knows all inputs too, has the last word."""

import hashlib
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
from closerlook.config.grid import Cell
from closerlook.config.load import Configuration
from closerlook.config.settings import TrainSettings
from closerlook.config.stages import Stage, stages
from closerlook.core.files import read_text


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
        self._template = lru_cache(maxsize=None)(lambda name: template_text(configuration, name))

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
        template = self._template(self.configuration.template_name(cell))
        return trained_standing(self.manifests.get(folder, {}), self.configuration.train_settings(cell), template)


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


def template_text(configuration: Configuration, name: str) -> str:
    """A prompt template, as the training reads it."""
    return read_text(configuration.root / configuration.catalog.templates[name].file, "prompt template")


def trained_standing(manifest: Mapping[str, Any], settings: TrainSettings, template: str) -> Standing:
    """Of a trained cell by its manifest, which says that it is done, and with which settings."""
    before, now = manifest.get("settings"), settings.model_dump(mode="json")
    if not isinstance(before, dict):
        return Standing("stale", message="its manifest.json tells no settings")
    if "held_out" not in before:  # trained before there was such a thing
        before = before | {"held_out": 0}
    changed = [
        f"{key} was {before.get(key)}, is {now.get(key)}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]
    if _digest_of(manifest) != hashlib.sha256(template.encode()).hexdigest():
        changed.append("the prompt template changed")
    return Standing("stale", message="; ".join(changed)) if changed else Standing("done")


def to_do(standings: Sequence[Standing]) -> Standing:
    """Where several stages stand as one, for a plan: what waits for its inputs is as new as they are."""
    for state in ("running", "failed", "stale", "waiting", "new"):
        for standing in standings:
            if standing.state == state:
                return Standing("new") if state == "waiting" else standing
    return Standing("done")


def _digest_of(manifest: Mapping[str, Any]) -> str | None:
    template = manifest.get("template")
    return template.get("sha256") if isinstance(template, dict) else None
