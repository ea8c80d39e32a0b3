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


FULL_GPU = """
import runpy, sys, torch
from closerlook.train import run

def allocate(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

run.HeadLoss.__call__ = allocate
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_full_gpu_is_out_of_memory_and_tried_again(make_job):
    job = make_job()
    words = ["--stage", "train", "--folder", job.out, "--outputs", job.out / "model", "--inputs", job.data]
    words += ["--log", job.out / "log", "--identity", "", "--tries", "1", "--notice", "0", "--"]
    words += [sys.executable, "-c", FULL_GPU, *command(job)]
    supervise = [sys.executable, "workflow/scripts/supervise.py", *map(str, words)]
    done = subprocess.run(supervise, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode != 0
    failure = json.loads((job.out / "attempts/train/failure.json").read_text())
    assert (failure["reason"], failure["tried_again_by_itself"]) == ("out of memory", True), done.stderr
