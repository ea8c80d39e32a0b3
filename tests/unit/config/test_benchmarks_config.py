"""Benchmarks of a preset: which tasks, from which files, for which cells."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support import REPOSITORY
from tests.support.preset import PRESET

from closerlook.config.benchmarks import MINIATURE_TASKS, HarnessTask, LocalTask
from closerlook.config.harness_names import harness_names
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
    corpus, mine = configuration.tasks["corpus"], configuration.tasks["mine"]
    assert isinstance(corpus, LocalTask)
    assert isinstance(mine, LocalTask)
    assert corpus.file == "results/mine/miniature/tasks/corpus.jsonl"
    assert Path(mine.file).samefile(tmp_path / "mine.jsonl")


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


def harness(folder: Path, **task: Any) -> str:
    (folder / "some.yaml").write_text(json.dumps({"tasks": [task]}))
    return "some.yaml"


def test_tasks_of_lm_evaluation_harness_by_name_alone_or_with_settings(tmp_path: Path) -> None:
    (tmp_path / "own_format.yaml").write_text("task: own_format")
    settings = {"harness": "gsm8k", "shots": 3, "limit": 100, "metric": "exact_match,flexible-extract"}
    configuration = configured(tmp_path, ["hellaswag", "mmlu", harness(tmp_path, **settings)])
    assert list(configuration.tasks) == ["hellaswag", "mmlu", "gsm8k"]
    task = configuration.tasks["gsm8k"]
    assert isinstance(task, HarnessTask)
    assert (task.shots, task.limit, task.metric) == (3, 100, "exact_match,flexible-extract")
    configuration = configured(tmp_path, [harness(tmp_path, harness="own_format.yaml")])
    task = configuration.tasks["own_format"]
    assert isinstance(task, HarnessTask)
    assert Path(task.harness).samefile(tmp_path / "own_format.yaml")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("helaswag", r"found 'helaswag'.*did you mean hellaswag\?"),
        ("mmlu_abstract_algebr", r"did you mean mmlu_abstract_algebra\?"),
        ("$(touch pwned)", r"expected String should match"),
        ("../../etc", r"expected String should match"),
        ({"harness": "helaswag"}, r"some\.yaml: tasks\.helaswag: .*did you mean hellaswag\?"),
        ({"harness": "absent.yaml"}, r"some\.yaml: tasks\.absent\.harness: .*a file that exists"),
        ({"harness": "hellaswag", "limt": 3}, r"some\.yaml: tasks\[0\]\.limt: .*did you mean limit\?"),
        ({"harness": "hellaswag", "limit": 0}, r"some\.yaml: tasks\[0\]\.limit: found 0"),
        ({"harness": "hellaswag", "shots": -1}, r"some\.yaml: tasks\[0\]\.shots: found -1"),
    ],
)
def test_an_unknown_task_is_refused_with_the_nearest_name(entry: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(CloserlookError, match=problem):
        configured(tmp_path, [entry if isinstance(entry, str) else harness(tmp_path, **entry)])


def test_names_are_read_once_and_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import sys; from closerlook.config.harness_names import harness_names as names;"
        "print('hellaswag' in names(), 'torch' in sys.modules)"
    )
    cache = {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | cache, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]
    (file,) = tmp_path.rglob("*.txt")
    names = file.read_text().splitlines()
    file.write_text("\n".join(["only-this", *names]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    harness_names.cache_clear()
    assert "only-this" in harness_names()
    harness_names.cache_clear()
