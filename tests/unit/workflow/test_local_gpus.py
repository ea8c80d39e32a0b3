"""`snakemake --cores all` on a workstation: each job gets its own GPUs, and a launch that the machine cannot hold is refused."""

from pathlib import Path

import pytest
from tests.support.workflow_project import Project

EXCLUSIVE = """
import os, time
gpus = [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
os.makedirs("used", exist_ok=True)
for gpu in gpus:
    os.close(os.open(f"used/{gpu}", os.O_CREAT | os.O_EXCL))  # fails where another job uses it
time.sleep(1)
for gpu in gpus:
    os.remove(f"used/{gpu}")
with open("gpus", "a") as log:
    print(os.path.basename(sys.argv[0]), *gpus, file=log)
"""


@pytest.fixture
def workstation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A new project on a machine with two GPUs, whose trainings and generations note which they see."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "a,b")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "project").mkdir()
    made = Project(tmp_path / "project")
    for name in ("train", "generate"):
        script = made.folder / f"workflow/scripts/{name}.py"
        script.write_text(script.read_text() + EXCLUSIVE)
    return made


def test_each_job_has_gpus_of_its_own(workstation: Project) -> None:
    workstation.preset["overrides"] = {"models": {"miniature": {"generate": {"gpus": 2}}}}
    workstation.snakemake("--cores", "8", "cells")
    used = [line.split() for line in (workstation.folder / "gpus").read_text().splitlines()]
    trained = [gpus for program, *gpus in used if program == "train.py"]
    assert len(trained) == len([row for row in used if row[0] == "train.py"]) > 2
    assert {tuple(gpus) for gpus in trained} == {("a",), ("b",)}
    assert {tuple(gpus) for program, *gpus in used if program == "generate.py"} == {("a", "b")}


def test_a_launch_of_too_many_gpus_is_refused_before_anything_runs(workstation: Project) -> None:
    workstation.preset["overrides"] = {"models": {"miniature": {"generate": {"gpus": 3}}}}
    output = workstation.snakemake("cells", check=False)
    assert "generate: its launch asks for 3 GPUs, and jobs on this machine can use 2" in output
    assert not (workstation.folder / "gpus").exists()
    limited = workstation.snakemake("trained", "--resources", "gpus_in_use=1")
    assert "gpus_in_use=1" in limited
