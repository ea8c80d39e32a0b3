"""Datasets made from datasets in the DAG: each is made once, from what it names, and again only for a reason."""

from pathlib import Path

import pytest
from tests.support.workflow_project import Project

DERIVED = {
    "simple": {"source": {"of": "brief", "simplify": {"by": "truth"}}, "rows": 800},
    "long": {"source": {"of": "simple", "longest": True}, "rows": 800},
    "written": {"source": {"of": "brief", "simplify": {"by": "gpt", "prompt_file": "config/short.txt"}}, "rows": 800},
}


@pytest.fixture
def derived(project: Project) -> Project:
    """A grid of one derived dataset made from another, and of one that a model writes."""
    (project.folder / "config/short.txt").write_text("${instruction} ${response}")
    judges = {"truth": {"oracle": {}}, "gpt": {"openai": "gpt-x", "concurrency": 4}}
    project.preset["overrides"] = {"datasets": DERIVED, "judges": judges}
    project.preset["grid"][0] |= {"datasets": ["long@10", "written"], "methods": ["lft"]}
    return project


def test_parents_are_made_and_names_are_not_confused(derived: Project) -> None:
    plan = derived.plan()
    assert plan["derive"] == 3
    assert plan["dataset"] == 0  # brief is there already, and what is made of it has no source of its own
    assert plan["subset"] == 1


def test_only_what_decides_an_answer_makes_it_again(derived: Project) -> None:
    derived.snakemake()
    data = derived.folder / "results/dag/data"
    assert "--judge oracle" in (data / "simple.parquet").read_text()
    assert "--judge openai --model gpt-x" in (data / "written.parquet").read_text()
    assert f"--dataset {Path('results/dag/data/simple.parquet')}" in (data / "long.parquet").read_text()
    judge = derived.preset["overrides"]["judges"]["gpt"]
    judge |= {"concurrency": 8, "input_price": 1.0, "output_price": 2.0}
    derived.preset["judge_budget"] = 7.5
    (derived.folder / "config/short.txt").touch()
    assert derived.plan() == {}
    (derived.folder / "config/short.txt").write_text("Shorter: ${instruction} ${response}")
    assert derived.plan()["derive"] == 1
    (derived.folder / "config/short.txt").write_text("${instruction} ${response}")
    judge["openai"] = "gpt-y"
    assert derived.plan()["derive"] == 1


def test_no_derived_dataset_no_simplification_table(project: Project) -> None:
    assert "simplification.csv" not in project.snakemake("--dry-run")
