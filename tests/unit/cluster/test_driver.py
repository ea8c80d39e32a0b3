"""There is one driver at a time, and no job of a dead one is forgotten or runs twice."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.cell_results import FIRST, Results, attempt

from closerlook.cluster import adoption, attempts, driver
from closerlook.cluster.driver import start_driving
from closerlook.core.errors import CloserlookError

HOLDS = """
import sys, time
from pathlib import Path
from closerlook.cluster.driver import start_driving
print(start_driving(Path(sys.argv[1]), "first", []), flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _free() -> None:
    """Release the locks, which a process holds until it ends."""
    driver._LOCKS.clear()


def test_a_second_driver_gives_way_until_the_first_is_dead(tmp_path: Path, slurm: Callable[..., Path]) -> None:
    slurm(squeue="")
    process = subprocess.Popen([sys.executable, "-c", HOLDS, tmp_path / "results"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"[]\n"
    with pytest.raises(CloserlookError, match=rf"another Snakemake, process {process.pid} on "):
        start_driving(tmp_path / "results", "second", [])
    process.kill()
    process.wait()
    assert start_driving(tmp_path / "results", "second", []) == []


def test_jobs_of_a_dead_driver(results: Results, slurm: Callable[..., Path]) -> None:
    """Waiting jobs are cancelled, running jobs of a cell are adopted, and unknown jobs are cancelled."""
    calls = slurm(squeue="10 PENDING\n11 RUNNING\n12 RUNNING\n", scancel="")
    results.attempt(attempt(job="11"))
    results.folder.mkdir(exist_ok=True)
    (results.folder / ".driver").write_text(json.dumps({"host": "h", "pid": 1, "runs": ["first", "second"]}))
    folder = results.folder / "cells" / FIRST
    lines = start_driving(results.folder, "third", [(folder, "train"), (folder / "questions", "generate")])
    assert "cancelled 1 waiting jobs" in lines[0]
    assert "train: waiting for job 11" in lines[1]
    assert adoption.adopted_job(attempts.records_folder(folder, "train")) == "11"
    said = calls.read_text()
    assert "--name=first,second" in said
    assert "scancel 10" in said
    assert "scancel 12" in said
    assert "scancel 11" not in said
    assert json.loads((results.folder / ".driver").read_text())["runs"] == ["first", "second", "third"]


def test_runs_without_jobs_are_forgotten(tmp_path: Path, slurm: Callable[..., Path]) -> None:
    slurm(squeue="", scancel="")
    for run in ("first", "second"):
        start_driving(tmp_path, run, [])
        driver._LOCKS.clear()
    assert json.loads((tmp_path / ".driver").read_text())["runs"] == ["second"]


@pytest.mark.parametrize("text", ["{", "null", '{"runs": 1}'])
def test_a_broken_lock_file_is_no_obstacle(tmp_path: Path, text: str) -> None:
    (tmp_path / ".driver").write_text(text)
    assert start_driving(tmp_path, "run", []) == []
