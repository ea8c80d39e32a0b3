"""Whichever process of a local run is killed, none is left, and the next run finishes what is missing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.support.workflow_project import STAND_IN, Project

pytestmark = pytest.mark.e2e

WAITS = """
import os, time
from pathlib import Path
if Path("wait").exists():
    Path("training").write_text(str(os.getpid()))
    time.sleep(300)
"""


def processes(folder: Path) -> list[psutil.Process]:
    """Those that work in a folder: Snakemake, clients, the server and its forks."""
    return [process for process in psutil.process_iter() if _folder(process) == str(folder)]


def _folder(process: psutil.Process) -> str | None:
    try:
        return process.cwd()
    except psutil.Error:
        return None


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("killed", ["client", "job", "server", "snakemake", "Ctrl-C"])
def test_nothing_is_left_and_the_next_run_finishes(project: Project, killed: str) -> None:
    (project.folder / "workflow/scripts/train.py").write_text(WAITS + STAND_IN)
    manifest = sorted(project.folder.glob("results/dag/cells/**/manifest.json"))[0]
    manifest.unlink()
    (project.folder / "wait").touch()
    command = [sys.executable, "-m", "snakemake", "--cores", "all", "--configfile", "config/dag.yaml"]
    run = subprocess.Popen(
        [*command, "--scheduler", "greedy", str(manifest.relative_to(project.folder))],
        cwd=project.folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    training = project.folder / "training"
    until(lambda: training.exists() and training.read_text())
    (project.folder / "wait").unlink()
    job = psutil.Process(int(training.read_text()))
    server = job.parent()
    assert server
    assert "closerlook.cluster.fork_server" in server.cmdline()
    client = next(
        process
        for process in processes(project.folder)
        if "train.py" in " ".join(process.cmdline()) and "supervise.py" not in " ".join(process.cmdline())
    )
    if killed == "Ctrl-C":
        os.killpg(run.pid, signal.SIGINT)
    else:
        {"client": client, "job": job, "server": server, "snakemake": psutil.Process(run.pid)}[killed].kill()
    assert run.wait(120) != 0
    until(lambda: not processes(project.folder))
    assert not manifest.exists()
    project.snakemake("--nolock")
    assert manifest.exists()
    assert not project.plan()
