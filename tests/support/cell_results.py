"""A grid of five cells with files that tests write, and a fake Slurm with given answers."""

import copy
import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from closerlook.cluster import attempts
from closerlook.cluster.attempts import Attempt
from closerlook.cluster.status import Row, as_json, status
from closerlook.cluster.status_text import lines
from closerlook.config import load
from tests.support import REPOSITORY
from tests.support.workflow_project import PRESET

GPU = {
    "partition": "gpu-h100",
    "nodes": 4,
    "gpus_per_node": 8,
    "cpus_per_node": 96,
    "memory_per_node_gb": 1000,
    "gpu_memory_gb": 80,
    "peak_tflops": 989,
    "max_hours": 48,
}
FIRST = "miniature/brief@100/lft"


class Results:
    """The results folder of a small preset."""

    def __init__(self, root: Path) -> None:
        (root / "config").symlink_to(REPOSITORY / "config")
        self.configuration = load.load(copy.deepcopy(PRESET), "dag.yaml", root)
        self.folder = root / "results/dag"

    def put(self, name: str, text: str = "") -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def put_inputs(self) -> None:
        for name in ("models/miniature", "data/brief.parquet", "data/brief@100.parquet", "evalsets/questions.parquet"):
            self.put(name)

    def put_manifest(self, cell: str = FIRST, **changes: Any) -> None:
        """Write the manifest of a training with the preset's settings, except for `changes`."""
        config = self.configuration.cell_config(self.configuration.cell_of[cell])
        if changes and config.train:
            config = config.model_copy(update={"train": config.train.model_copy(update=changes)})
        manifest = {"config": config.model_dump(mode="json"), "config_digest": config.training_digest}
        self.put(f"cells/{cell}/manifest.json", json.dumps(manifest))

    def attempt(self, *made: Attempt, cell: str = FIRST) -> None:
        """Write the attempts at one stage of a cell."""
        stage = made[0].stage
        folder = self.folder / "cells" / cell / ("" if stage == "train" else "questions")
        attempts.write(folder, stage, made)


def attempt(stage: str = "train", minutes: float | None = None, **changes: Any) -> Attempt:
    """An attempt that took some minutes, or that has no end."""
    started = datetime.fromisoformat("2026-01-01T10:00:00+00:00")
    values: dict[str, Any] = {
        "stage": stage,
        "number": 1,
        "command": "c",
        "job": None,
        "nodes": None,
        "host": "elsewhere",
        "pid": 1,
        "log": "the.log",
        "started": started,
        "ended": None if minutes is None else started + timedelta(minutes=minutes),
    }
    return Attempt.model_validate(values | changes)


def rows(results: Results) -> dict[tuple[str, str], Row]:
    """The status of every stage, by cell and stage; it can be printed and written as JSON."""
    found = status(results.configuration, results.folder, ["--configfile", "dag.yaml", "my files.yaml"])
    assert json.loads(json.dumps(as_json(results.configuration, results.folder, found), allow_nan=False))["stages"]
    assert list(lines(found))
    return {(row.cell, row.stage): row for row in found}


def first(results: Results, stage: str = "train") -> Row:
    """The status of a stage of the first cell."""
    return rows(results)[FIRST, stage]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put fake Slurm commands with given output on PATH; the function returns the file that logs their calls."""
    folder, calls = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install(**answers: str | None) -> Path:
        for name, answer in answers.items():
            program = folder / name
            end = "exit 1" if answer is None else f"echo '{answer}'"
            program.write_text(f'#!/bin/sh\necho {name} "$@" >> {calls}\n{end}\n')
            os.chmod(program, 0o755)
        calls.touch()
        return calls

    return install
