"""On a machine without Slurm, no two jobs get the same GPU, whatever is killed. The GPUs are names; the processes are real."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.support import REPOSITORY

from closerlook.cluster.gpus import lease_gpus, visible_gpus
from closerlook.core.errors import CloserlookError

USE = """
import os, sys, time
from pathlib import Path
gpus = [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
marks = [Path("in-use") / gpu for gpu in gpus]
for mark in marks:
    mark.open("x").close()  # fails where another job uses it
Path(f"got-{sys.argv[1]}").write_text(" ".join(gpus))
Path(f"pid-{sys.argv[1]}").write_text(str(os.getpid()))
time.sleep(float(sys.argv[2]))
for mark in marks:
    mark.unlink()
"""
"""A program that notes which GPUs it sees, and fails if another has one of them at the same time."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes this a machine with these GPUs; returns its working directory."""

    def make(gpus: str) -> Path:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        monkeypatch.delenv("SLURM_JOB_ID", raising=False)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "in-use").mkdir()
        return tmp_path

    return make


def start(name: str, gpus: int | None, seconds: float, stderr: int | None = None) -> subprocess.Popen[str]:
    words = [sys.executable, str(REPOSITORY / "workflow/scripts/supervise.py"), "--stage", "train", "--folder", name]
    words += ["--outputs", f"{name}/out", "--inputs", "in", "--log", f"{name}.log"]
    words += [] if gpus is None else ["--gpus", str(gpus)]
    return subprocess.Popen([*words, "--", sys.executable, "-c", USE, name, str(seconds)], stderr=stderr, text=True)


def wait_for(file: Path) -> str:
    end = time.monotonic() + 60
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < end, file
        time.sleep(0.02)
    return file.read_text()


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("0,1", ["0", "1"]),
        (" GPU-a , GPU-b", ["GPU-a", "GPU-b"]),
        ("", []),
        ("-1", []),
        ("2,-1,3", ["2"]),
        ("1,1", ["1"]),
    ],
)
def test_gpus_that_the_variable_names(monkeypatch: pytest.MonkeyPatch, named: str, expected: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == expected


def test_without_the_variable_the_driver_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho "GPU 0: H100 (UUID: GPU-a)"; echo "  MIG 1g Device 0: x"; echo "GPU 1: H100"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == ["0", "1"]
    program.write_text("#!/bin/sh\necho NVIDIA-SMI has failed; exit 9\n")
    assert visible_gpus() == [str(index) for index, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))]


def test_jobs_share_no_gpu(machine: Callable[[str], Path]) -> None:
    """Six jobs of one or two of three GPUs, at once: none fails, none waits forever, and none sees more than it asked for."""
    folder = machine("a,b,c")
    asked = {f"job{index}": 1 + index % 2 for index in range(6)}
    jobs = [start(name, gpus, 0.3) for name, gpus in asked.items()]
    assert [job.wait(60) for job in jobs] == [0] * len(jobs)
    assert {name: len((folder / f"got-{name}").read_text().split()) for name in asked} == asked


def test_a_killed_job_frees_its_gpu_and_an_orphan_keeps_it(machine: Callable[[str], Path]) -> None:
    folder = machine("a")
    first = start("first", 1, 60)
    program = psutil.Process(int(wait_for(folder / "pid-first")))
    first.kill()
    first.wait()
    assert program.is_running()
    second = start("second", 1, 0)
    time.sleep(1.5)
    assert not (folder / "got-second").exists(), "the killed supervisor's program still uses the GPU"
    program.kill()
    (folder / "in-use/a").unlink()
    assert wait_for(folder / "got-second") == "a"
    assert second.wait(60) == 0


def test_a_job_that_waits_for_a_gpu_can_be_stopped(machine: Callable[[str], Path]) -> None:
    folder = machine("a")
    first = start("first", 1, 60)
    wait_for(folder / "pid-first")
    waiting = start("waiting", 1, 0, stderr=subprocess.PIPE)
    assert waiting.stderr is not None
    assert waiting.stderr.readline() == "waits until 1 of the GPUs a are free\n"
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(10) != 0
    first.terminate()
    first.wait(30)
    assert not (folder / "waiting").exists(), "it never began"


def test_a_job_without_gpus_sees_none_and_waits_for_none(machine: Callable[[str], Path]) -> None:
    folder = machine("a")
    busy = start("busy", 1, 60)
    wait_for(folder / "pid-busy")
    queued = start("queued", 1, 0)
    assert start("cpu", 0, 0).wait(60) == 0
    assert (folder / "got-cpu").read_text() == ""
    for job in (busy, queued):
        job.terminate()
        job.wait(30)


def test_where_slurm_assigns_gpus_nothing_is_hidden(machine: Callable[[str], Path]) -> None:
    folder = machine("a,b")
    assert start("job", None, 0).wait(60) == 0
    assert (folder / "got-job").read_text() == "a b"


def test_a_part_of_a_gpu_can_be_leased(machine: Callable[[str], Path]) -> None:
    machine("MIG-GPU-a/1/0,MIG-GPU-a/2/0")
    with lease_gpus(1) as first, lease_gpus(1) as second:
        assert [*first, *second] == ["MIG-GPU-a/1/0", "MIG-GPU-a/2/0"]


def test_more_gpus_than_there_are(machine: Callable[[str], Path]) -> None:
    folder = machine("a")
    assert start("job", 2, 0).wait(60) == 2
    assert not (folder / "got-job").exists()
    with pytest.raises(CloserlookError, match="found 1 GPUs on this machine, expected 2"), lease_gpus(2):
        pass
