"""What a person reads after a run that failed."""

import copy
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.workflow.conftest import PRESET

from closerlook.config import load
from closerlook.unfinished import unfinished

FIRST = "miniature/brief@100/lft"


@pytest.fixture
def configuration(tmp_path: Path) -> load.Configuration:
    (tmp_path / "config").symlink_to(REPOSITORY / "config")
    return load.load(copy.deepcopy(PRESET), "dag.yaml", tmp_path)


def put(configuration: load.Configuration, name: str, text: str = "") -> None:
    file = configuration.root / "results/dag" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_the_first_missing_file_of_each_cell_is_named(configuration: load.Configuration) -> None:
    put(configuration, f"logs/train/{FIRST}.log", "train: 10%\rtrain: 20%\nerror: the loss is nan at step 3\nbye\n")
    first, *others = unfinished(configuration, ["dag.yaml", "my files.yaml"])
    assert first.splitlines() == [
        f"{FIRST}: train: the loss is nan at step 3",
        f"    log: results/dag/logs/train/{FIRST}.log",
        f"    go on with: snakemake results/dag/cells/{FIRST}/manifest.json --configfile dag.yaml 'my files.yaml'",
    ]
    assert len(others) == 4
    assert all("not begun" in line for line in others)
    assert "none/base: generate:" in others[-1]


def test_a_killed_stage_tells_the_last_of_its_log(configuration: load.Configuration) -> None:
    put(configuration, f"cells/{FIRST}/manifest.json")
    put(configuration, f"logs/generate/{FIRST}/questions.log", "responses: 3%\rresponses: 7%")
    assert unfinished(configuration, ["dag.yaml"])[0].startswith(f"{FIRST}: generate: responses: 7%")
    put(configuration, f"logs/generate/{FIRST}/questions.log")
    assert "stopped without a word" in unfinished(configuration, ["dag.yaml"])[0]


def test_whole_cells_are_not_named(configuration: load.Configuration) -> None:
    for cell, evalsets in configuration.cells.items():
        put(configuration, f"cells/{cell.name}/manifest.json")
        for evalset in evalsets:
            put(configuration, f"cells/{cell.name}/{evalset}/responses.parquet")
            put(configuration, f"cells/{cell.name}/{evalset}/shift.parquet")
    assert unfinished(configuration, ["dag.yaml"]) == []
