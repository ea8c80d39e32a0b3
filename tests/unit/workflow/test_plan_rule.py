"""`snakemake plan`: what `closerlook plan` says, in two files, and anew whenever it is asked for."""

import json
from pathlib import Path

from tests.support.workflow_project import Project


def test_the_plan_is_a_target_of_its_own_and_never_up_to_date(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert "1 of 1 steps" in project.snakemake("plan")
    results = tmp_path / "results/dag"
    assert {row["state"] for row in json.loads((results / "plan.json").read_text())["cells"]} == {"new"}
    assert "5 cells: 5 new" in (results / "plan.txt").read_text()
    manifest = results / "cells/miniature/brief/lft/manifest.json"
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text("{}")
    assert "1 of 1 steps" in project.snakemake("plan")
    assert "5 cells: 4 new, 1 stale" in (results / "plan.txt").read_text()
    assert "plan" not in project.plan()
