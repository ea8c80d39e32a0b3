"""A project with a preset of its own, and finished cells in it, made of manifests alone."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from closerlook.config.architecture import Architecture
from closerlook.config.cell import CellConfig, PromptTemplate
from closerlook.config.grid import dataset_and_size
from closerlook.config.settings import TrainSettings
from closerlook.plan.memory import Zero
from tests.support import REPOSITORY

MODELS = ["llama-2-7b", "llama-2-13b", "llama-2-70b", "mistral-7b-v0.1", "phi-1.5"]
ALPACA, MEDICAL = (
    ["alpaca@1k", "alpaca@10k", "alpaca@25k", "alpaca"],
    ["medinstruct@1k", "medinstruct@10k", "medinstruct"],
)
TULU = ["tulu-v2-mix@1k", "tulu-v2-mix@10k", "tulu-v2-mix@25k", "tulu-v2-mix@50k", "tulu-v2-mix@150k", "tulu-v2-mix"]


def preset(seeds: int = 1, **changes: Any) -> dict[str, Any]:
    """160 cells of the paper's models and datasets, times `seeds`."""
    datasets = [*ALPACA, *MEDICAL, *TULU, "lima", "dolly", "evol-instruct"]
    block = {"models": MODELS, "datasets": datasets, "methods": ["lft", "sft"], "seeds": list(range(seeds))}
    return {"preset": "scale", "template": "alpaca", "grid": [block | {"evalsets": ["just-eval-instruct"]}]} | changes


def architecture_of(model: Any) -> Architecture:
    """The architecture in the configuration of a transformers model."""
    config = model.config.to_dict()
    return Architecture.model_validate(
        {key: config[key] for key in Architecture.model_fields if config.get(key) is not None}
    )


class Project:
    """A folder with the shipped catalog, templates and DeepSpeed files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("catalog.yaml", "prompts", "deepspeed", "site.example.yaml"):
            source = REPOSITORY / "config" / name
            (root / "config").mkdir(exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, root / "config" / name)

    def write(self, value: dict[str, Any], name: str = "mine.yaml") -> str:
        """Write YAML under config/; returns its path from the root."""
        (self.root / "config" / name).write_text(yaml.safe_dump(value, sort_keys=False))
        return f"config/{name}"

    def finish(self, cell: str, kind: str, preset: str = "scale", **changes: Any) -> Path:
        """Write the manifest of a finished training of 1,000 instances; returns the cell's folder."""
        template = PromptTemplate(name="alpaca", text=(self.root / "config/prompts/alpaca.txt").read_text())
        model, dataset, method = cell.split("/")
        size = dataset_and_size(dataset)[1]
        config = CellConfig(
            cell=cell,
            model=model,
            dataset=dataset,
            size=size,
            method=method,
            template=template,
            train=TrainSettings.model_validate({"kind": kind}),
        )
        manifest = {
            "config": config.model_dump(mode="json"),
            "config_digest": config.training_digest,
            "engine": {
                "micro_batch": 32,
                "micro_tokens": 6144,
                "gradient_checkpointing": False,
                "precision": "bfloat16",
                "deepspeed": None,
            },
            "world_size": 1,
            "tokens": 300_000,
            "trained_tokens": 200_000,
            "examples_seen": 3008,
            "wall_seconds": 10.0,
            "peak_memory_bytes": 20e9,
            "device": "NVIDIA H100 80GB HBM3",
        }
        folder = self.root / "results" / preset / "cells" / cell
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest.json").write_text(json.dumps(manifest | changes))
        return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The current folder for the length of a test."""
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture
def plan(project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run `closerlook plan --json` on a preset; returns what it prints, read back."""
    from closerlook import cli

    def run(value: dict[str, Any], *arguments: str) -> Any:
        file = project.write(value)
        monkeypatch.setattr("sys.argv", ["closerlook", "plan", "--configfile", file, "--json", *arguments])
        cli.main()
        return json.loads(capsys.readouterr().out)

    return run


HEAVY = ("torch", "transformers", "peft", "deepspeed", "pandas", "matplotlib")


def check_planned_without_torch(project: Project, seeds: int) -> None:
    """Plan 160 cells times `seeds` in a process of its own, which must not import torch."""
    file = project.write(preset(seeds))
    arguments = ["closerlook", "plan", "--configfile", file, "--site", "config/site.example.yaml"]
    code = f"import sys; sys.argv = {arguments}\n"
    code += "from closerlook import cli; cli.main()\n"
    code += f"assert not set({HEAVY}) & set(sys.modules), set({HEAVY}) & set(sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{160 * seeds} cells: {160 * seeds} new" in done.stdout


def zero(stage: int, **options: Any) -> Zero:
    """A DeepSpeed configuration without offloading or buffers, but for `options`."""
    return Zero(
        stage,
        **({"offload_optimizer": False, "offload_parameters": False, "max_live_parameters": 0, "bucket": 0} | options),
    )
