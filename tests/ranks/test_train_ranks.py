"""Several processes equal one: data parallelism and DeepSpeed's ZeRO on gloo ranks."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from safetensors.torch import load_file
from tests.support.tiny_training import REPOSITORY, command, lines, losses, make_model, make_tokenizer, run_script
from tests.support.training import NEEDS_COMPILER

from closerlook.models.load import load_tuned

pytestmark = pytest.mark.ranks
CONFIGS = REPOSITORY / "config" / "deepspeed"
SETTINGS = {"micro_batch": 2, "neftune_alpha": 5.0}


def check_same(cell, reference, base):
    """The same losses, gradients and predictions, but for float32 sums in another order through six steps of AdamW."""
    assert losses(cell) == pytest.approx(losses(reference), abs=1e-5)
    for key in ("tokens", "trained_tokens", "padding_share", "learning_rate"):
        assert [line[key] for line in lines(cell)] == [line[key] for line in lines(reference)]
    assert [line["grad_norm"] for line in lines(cell)] == pytest.approx(
        [line["grad_norm"] for line in lines(reference)], rel=1e-3
    )
    names = {path.name for path in (reference / "model").glob("*.safetensors")}
    assert {path.name for path in (cell / "model").glob("*.safetensors")} == names
    for name in names:
        actual, expected = load_file(cell / "model" / name), load_file(reference / "model" / name)
        assert {key: tensor.shape for key, tensor in actual.items()} == {
            key: tensor.shape for key, tensor in expected.items()
        }
        assert all(tensor.abs().max() > 0 for tensor in actual.values())
    tokens = torch.tensor([[1, 4, 5, 9, 12, 30]])
    with torch.no_grad():
        actual, expected = (load_tuned(base, folder / "model")(input_ids=tokens).logits for folder in (cell, reference))
    torch.testing.assert_close(actual, expected, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("kind", "ranks", "deepspeed", "engine"),
    [
        ("full", 2, None, {}),
        pytest.param("full", 2, None, {"compile": True}, marks=NEEDS_COMPILER),
        ("lora", 2, None, {}),
        ("full", 2, "zero2", {"micro_batch": 8, "micro_tokens": 90}),
        ("full", 2, "zero3", {"micro_batch": 8, "micro_tokens": 90}),
        ("full", 1, "zero3", {}),
        ("lora", 2, "zero3", {"gradient_checkpointing": True}),
    ],
)
def test_ranks_equal_one_process(make_job, trained, base, kind, ranks, deepspeed, engine):
    reference = trained("one", kind=kind, **SETTINGS)
    if deepspeed:
        engine = engine | {"deepspeed": str(CONFIGS / f"{deepspeed}.json")}
    job = make_job("many", kind=kind, **SETTINGS | engine)
    done = run_script(job, ranks)
    assert done.returncode == 0, done.stderr[-4000:]
    check_same(job.out, reference, base)
    manifest = json.loads((job.out / "manifest.json").read_text())
    assert manifest["world_size"] == ranks
    if "micro_tokens" in engine:  # steps differ in their number of micro-batches
        assert 1 <= manifest["mean_micro_steps"] < manifest["micro_steps"]
    assert manifest["parameters"] == json.loads((reference / "manifest.json").read_text())["parameters"]


@pytest.fixture(scope="session")
def tied(tmp_path_factory):
    """Folder of a base model in bfloat16 whose LM head is its embedding, as that of many small models is."""
    folder = tmp_path_factory.mktemp("tied")
    make_model(tie_word_embeddings=True).to(torch.bfloat16).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def saved_weights(cell):
    (file,) = (cell / "model").glob("*.safetensors")
    return load_file(file)


@pytest.mark.parametrize(
    ("kind", "ranks", "deepspeed", "engine"),
    [
        ("full", 2, None, {"deterministic": True}),
        ("lora", 2, None, {}),
        ("full", 2, "zero2", {}),
        ("lora", 1, "zero2", {}),
        ("full", 2, "zero3", {"deterministic": True}),
        ("lora", 2, "zero3", {"gradient_checkpointing": True}),
    ],
)
def test_bfloat16_ranks_are_close_to_float32(make_job, trained, tied, kind, ranks, deepspeed, engine):
    """What GPUs compute in: the same tensors are saved, tied ones once, and all differ by bfloat16's rounding alone."""
    settings = {"model": tied, "kind": kind, "learning_rate": 3e-3, **SETTINGS}
    reference = trained("one", **settings)
    if deepspeed:
        engine = engine | {"deepspeed": str(CONFIGS / f"{deepspeed}.json")}
    job = make_job("many", precision="bfloat16", **settings, **engine)
    done = run_script(job, ranks)
    assert done.returncode == 0, done.stderr[-4000:]
    assert losses(job.out) == pytest.approx(losses(reference), rel=0.02)
    actual, expected, start = saved_weights(job.out), saved_weights(reference), load_file(tied / "model.safetensors")
    dtype = torch.float32 if kind == "lora" else torch.bfloat16
    assert {key: (tensor.shape, tensor.dtype) for key, tensor in actual.items()} == {
        key: (tensor.shape, dtype) for key, tensor in expected.items()
    }
    if kind == "full":
        assert expected.keys() == start.keys()
    for name, tensor in expected.items():
        if "lora_A" not in name and tensor.dim() > 1:
            moved = tensor.float() - start.get(name, torch.zeros(())).float()
            assert (actual[name].float() - tensor.float()).norm() < 0.4 * moved.norm(), name
    manifest = json.loads((job.out / "manifest.json").read_text())
    assert (manifest["precision"], manifest["deterministic"]) == ("bfloat16", engine.get("deterministic", False))


@pytest.mark.parametrize(
    ("kind", "deepspeed", "precision"),
    [
        ("full", None, "float32"),
        ("full", None, "bfloat16"),
        ("full", "zero2", "bfloat16"),
        ("full", "zero3", "bfloat16"),
        ("lora", "zero3", "bfloat16"),
    ],
)
def test_killed_ranks_resume(make_job, kind, deepspeed, precision):
    """Kill all ranks in mid-training; resumed, every later loss equals the uninterrupted run's."""
    settings = SETTINGS | {
        "kind": kind,
        "precision": precision,
        "epochs": 12.0,
        "checkpoint_steps": 4,
        "lora_dropout": 0.2,
    }
    if deepspeed:
        settings["deepspeed"] = str(CONFIGS / f"{deepspeed}.json")
    whole, job = make_job("whole", **settings), make_job("killed", **settings)
    assert run_script(whole, 2).returncode == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    process = subprocess.Popen([*launcher, *command(job)], cwd=REPOSITORY, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (job.out / "checkpoints" / "step-8" / "COMPLETE").exists():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for child in [*psutil.Process(process.pid).children(recursive=True), process]:
        os.kill(child.pid, signal.SIGKILL)
    process.wait()
    done = run_script(job, 2)
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads((job.out / "manifest.json").read_text())["resumed_from"][0] >= 8
    assert losses(job.out) == losses(whole.out)
