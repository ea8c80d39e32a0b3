"""Training is killed and started again: losses and weights are those of an uninterrupted run."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from tests.support.tiny_training import REPOSITORY, command, losses, run_script

from closerlook.core.files import sha256

pytestmark = pytest.mark.e2e


def test_kill_minus_nine(make_job, trained):
    settings = {"kind": "lora", "neftune_alpha": 5.0, "lora_dropout": 0.2, "micro_batch": 3, "weight_decay": 0.1}
    settings |= {"epochs": 20.0, "checkpoint_steps": 3}
    whole = trained("whole", **settings)
    job = make_job("killed", **settings)
    process = subprocess.Popen([sys.executable, *command(job)], cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    log = job.out / "checkpoints" / "train_log.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_bytes().count(b"\n") >= 10):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (job.out / "manifest.json").exists()
    done = run_script(job)
    assert done.returncode == 0, done.stderr
    assert json.loads((job.out / "manifest.json").read_text())["resumed_from"][0] >= 9
    assert losses(job.out) == losses(whole)
    assert sha256(job.out / "model") == sha256(whole / "model")
