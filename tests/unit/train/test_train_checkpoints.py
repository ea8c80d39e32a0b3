"""Killed and started again: the same losses, the same bytes; and checkpoints that must not be trusted."""

import json
import re

import pytest
from tests.support.tiny_training import lines, losses

from closerlook.core.files import sha256
from closerlook.train import run
from closerlook.train.checkpoints import MARKER, CheckpointManager
from closerlook.train.run import train

HARD = {"kind": "lora", "neftune_alpha": 5.0, "lora_dropout": 0.2, "epochs": 4.0, "micro_batch": 3, "weight_decay": 0.1}


def resumed_from(job):
    return json.loads((job.out / "manifest.json").read_text())["resumed_from"]


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def stop_after(step, monkeypatch):
    """End the training abruptly after the log line of `step`."""
    original = run.Log.add

    def add(self, line):
        original(self, line)
        if line["step"] == step:
            raise Killed

    monkeypatch.setattr(run.Log, "add", add)


@pytest.mark.parametrize("kind", ["lora", "full", "bias"])
def test_resumed_training_equals_the_uninterrupted(make_job, trained, monkeypatch, kind):
    settings = HARD | {"kind": kind, "checkpoint_steps": 2}
    whole = trained("whole", **settings)
    job = make_job("stopped", **settings)
    for step in (5, 9):
        with monkeypatch.context() as context:
            stop_after(step, context)
            with pytest.raises(Killed):
                train(job)
        assert {path.name for path in job.out.iterdir()} == {"checkpoints"}
    train(job)
    assert losses(job.out) == losses(whole)
    assert [line["step"] for line in lines(job.out)] == list(range(1, 13))
    assert sha256(job.out / "model") == sha256(whole / "model")
    assert resumed_from(job) == [4, 8]
    assert not (job.out / "checkpoints").exists()


@pytest.fixture
def stopped(make_job, monkeypatch):
    """A job that was stopped after step 5, with a complete checkpoint at step 4."""
    job = make_job("stopped", epochs=4.0, checkpoint_steps=2)
    with monkeypatch.context() as context:
        stop_after(5, context)
        with pytest.raises(Killed):
            train(job)
    return job


def test_only_the_newest_checkpoint_is_kept(stopped):
    assert {path.name for path in (stopped.out / "checkpoints").iterdir()} == {"step-4", "train_log.jsonl"}


def test_torn_checkpoint_is_passed_over(stopped, trained, capsys):
    torn = stopped.out / "checkpoints" / "step-6"
    torn.mkdir()
    (torn / "state.safetensors").write_bytes(b"half a sta")
    train(stopped)
    assert {"step-6", MARKER} <= set(re.findall(r"[\w-]+", capsys.readouterr().err))
    assert resumed_from(stopped) == [4]
    assert losses(stopped.out) == losses(trained("whole", epochs=4.0))


def test_unreadable_marker_is_a_torn_checkpoint(stopped):
    (stopped.out / "checkpoints" / "step-4" / MARKER).write_text('{"identi')
    train(stopped)
    assert resumed_from(stopped) == []


@pytest.mark.parametrize(
    "change",
    [{"learning_rate": 5e-3}, {"seed": 1}, {"rows": 25}, {"precision": "bfloat16"}, {"deterministic": True}],
)
def test_checkpoint_of_another_training_is_passed_over(stopped, make_job, trained, capsys, change):
    settings = {"epochs": 4.0} | change
    other = make_job("stopped", **settings)  # the same folder
    train(other)
    assert "step-4" in capsys.readouterr().err
    assert resumed_from(other) == []
    assert losses(other.out) == losses(trained("fresh", **settings))


def test_checkpoint_of_another_type_of_gpu_is_passed_over(stopped, monkeypatch):
    monkeypatch.setattr(run, "device_kind", lambda device: "NVIDIA A100-SXM4-80GB")
    train(stopped)
    assert resumed_from(stopped) == []


@pytest.mark.parametrize("change", [{"checkpoint_steps": 100}, {"micro_batch": 2}, {"gradient_checkpointing": True}])
def test_speed_and_memory_may_change_in_between(stopped, make_job, trained, change):
    """Out of memory half-way, the user takes a smaller micro-batch: what is done is not lost."""
    job = make_job("stopped", epochs=4.0, **change)
    train(job)
    assert resumed_from(job) == [4]
    assert losses(job.out) == pytest.approx(losses(trained("whole", epochs=4.0)), abs=1e-4)


def test_half_removed_checkpoint_is_not_complete(tmp_path, monkeypatch):
    manager = CheckpointManager(tmp_path, "me")
    manager.start(2)
    manager.complete(2)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # killed right after the marker went
    manager.start(4)
    manager.complete(4)
    assert manager.resume_at() == 4
    assert not (manager.at(2) / MARKER).exists()
