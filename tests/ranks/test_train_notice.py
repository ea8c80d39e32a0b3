"""On a stop signal all ranks write a checkpoint of the same step; the resumed training equals an uninterrupted one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tests.support.tiny_training import REPOSITORY, command, losses, run_script

from closerlook.train.checkpoints import MARKER
from closerlook.train.setup import Job

pytestmark = pytest.mark.ranks
SETTINGS = {"epochs": 40.0, "micro_batch": 2, "neftune_alpha": 5.0}


def start(job: Job, ranks: int) -> subprocess.Popen[str]:
    """A training, alone or in ranks, of which at least five steps are done."""
    launcher = [sys.executable]
    if ranks > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    process = subprocess.Popen(
        [*launcher, *command(job)], cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True
    )
    log, end = job.out / "checkpoints/train_log.jsonl", time.monotonic() + 200
    while not log.is_file() or len(log.read_text().splitlines()) < 5:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    return process


def rank_processes(launcher: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that train: the launcher's children, or itself."""
    return psutil.Process(launcher.pid).children() or [psutil.Process(launcher.pid)]


@pytest.mark.parametrize(
    ("ranks", "engine", "notice"),
    [
        (1, {}, signal.SIGUSR2),
        (1, {}, signal.SIGTERM),
        (2, {}, signal.SIGUSR2),
        (2, {"deepspeed": str(REPOSITORY / "config/deepspeed/zero3.json")}, signal.SIGUSR2),
    ],
)
def test_a_notice_loses_nothing(
    make_job: Callable[..., Job], ranks: int, engine: dict[str, str], notice: signal.Signals
) -> None:
    whole = make_job("whole", **SETTINGS, **engine)
    assert run_script(whole, ranks).returncode == 0
    job = make_job("stopped", **SETTINGS, **engine)
    launcher = start(job, ranks)
    rank_processes(launcher)[-1].send_signal(notice)  # one rank gets the signal and informs the others
    _, output = launcher.communicate(timeout=120)
    assert launcher.returncode != 0
    steps = [path for path in (job.out / "checkpoints").glob("step-*") if (path / MARKER).exists()]
    assert len(steps) == 1, "one step, the same for all ranks"
    assert f"step {steps[0].name.removeprefix('step-')}" in output
    assert not (job.out / "manifest.json").exists()
    assert run_script(job, ranks).returncode == 0
    manifest = json.loads((job.out / "manifest.json").read_text())
    assert manifest["resumed_from"] == [int(steps[0].name.removeprefix("step-"))]
    assert losses(job.out) == losses(whole.out)
    assert not (job.out / "checkpoints").exists()


def test_checkpoints_on_scratch(make_job: Callable[..., Job], tmp_path: Path) -> None:
    """They are in the site's scratch folder, to which the cell's folder links; afterwards nothing is left."""
    scratch = tmp_path / "scratch"
    job = make_job("stopped", **SETTINGS)
    flags = [*command(job), "--scratch", str(scratch)]
    process = subprocess.Popen([sys.executable, *flags], cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    link, end = job.out / "checkpoints", time.monotonic() + 100
    while not (link / "train_log.jsonl").is_file() or len((link / "train_log.jsonl").read_text().splitlines()) < 5:
        assert process.poll() is None
        assert time.monotonic() < end
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert link.is_symlink()
    assert link.resolve().parent == scratch.resolve()
    assert list(link.glob("step-*"))
    assert subprocess.run([sys.executable, *flags], cwd=REPOSITORY, capture_output=True).returncode == 0
    assert not link.is_symlink()
    assert list(scratch.iterdir()) == []
