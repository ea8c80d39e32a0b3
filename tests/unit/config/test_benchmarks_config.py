"""Benchmarks of a preset: which tasks, from which files, for which cells."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import REPOSITORY
from tests.support.preset import PRESET

from closerlook.config.benchmarks import MINIATURE_TASKS
from closerlook.config.load import Configuration, load
from closerlook.config.stages import stages
from closerlook.core.errors import CloserlookError


def configured(folder: Path, benchmarks: list[str], **changes: Any) -> Configuration:
    preset = copy.deepcopy(PRESET) | {"benchmarks": benchmarks} | changes
    return load(preset, "mine.yaml", root=Path.cwd(), preset_folder=folder, workflow=REPOSITORY)


def listed(folder: Path, name: str, *tasks: str) -> str:
    for task in tasks:
        (folder / f"{task}.jsonl").touch()
    rows = [{"name": task, "kind": "rolling", "file": f"{task}.jsonl"} for task in tasks]
    (folder / name).write_text(json.dumps({"tasks": rows}))
    return name


def test_no_benchmarks_unless_a_preset_asks_for_them(tmp_path: Path) -> None:
    configuration = configured(tmp_path, [])
    assert configuration.tasks == {}
    assert not [s for cell in configuration.cells for s in stages(configuration, cell) if s.name == "benchmarks"]


def test_the_miniatures_and_own_tasks(tmp_path: Path) -> None:
    configuration = configured(tmp_path, ["miniature", listed(tmp_path, "own.yaml", "mine")])
    assert list(configuration.tasks) == [*(task.name for task in MINIATURE_TASKS), "mine"]
    assert configuration.tasks["corpus"].file == "results/mine/miniature/tasks/corpus.jsonl"
    assert Path(configuration.tasks["mine"].file).samefile(tmp_path / "mine.jsonl")


def test_each_cell_and_base_is_scored_but_no_control_with_a_template_of_its_own(tmp_path: Path) -> None:
    grid = [*PRESET["grid"], {"models": ["miniature"], "methods": ["icl"], "evalsets": ["questions"]}]
    overrides = {"methods": {"icl": {"template": "miniature-icl"}}}
    configuration = configured(tmp_path, ["miniature"], grid=grid, overrides=overrides)
    scored = {cell.method for cell in configuration.cells if configuration.benchmarked(cell)}
    assert scored == {"lft", "sft", "base"}
    for cell in configuration.cells:
        files = [stage.file for stage in stages(configuration, cell) if stage.name == "benchmarks"]
        expected = [f"cells/{cell.name}/benchmarks/{MINIATURE_TASKS[-1].name}.parquet"]
        assert files == (expected if cell.method in scored else [])


def test_problems_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(CloserlookError, match=r"nowhere\.yaml"):
        configured(tmp_path, ["nowhere.yaml"])
    first, second = listed(tmp_path, "a.yaml", "same"), listed(tmp_path, "b.yaml", "same")
    with pytest.raises(CloserlookError, match=r"b\.yaml.*'same'.*no other task"):
        configured(tmp_path, [first, second])
    (tmp_path / "same.jsonl").unlink()
    with pytest.raises(CloserlookError, match=r"a\.yaml.*tasks\.same\.file.*a file that exists"):
        configured(tmp_path, [first])
