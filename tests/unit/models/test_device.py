"""Which device a process computes on, and what says that it should be a GPU."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support import REPOSITORY
from tests.support.tiny_models import byte_tokenizer, saved, tiny_model
from transformers import AutoModelForCausalLM

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import RESPONSES
from closerlook.models import device as devices
from closerlook.models.device import deterministic_algorithms, device, device_kind, device_name
from closerlook.models.load import load_base

GPU_VARIABLES = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without a GPU, of which no variable says anything; its root folder, with dev/."""
    for name in GPU_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "dev").mkdir()
    monkeypatch.setattr(devices, "Path", lambda path: tmp_path / str(path).lstrip("/"))
    return tmp_path


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"CUDA_VISIBLE_DEVICES": ""},
        {"CUDA_VISIBLE_DEVICES": "-1"},
        {"CUDA_VISIBLE_DEVICES": "NoDevFiles"},  # what older Slurms tell a job without GPUs
        {"CUDA_VISIBLE_DEVICES": "", "SLURM_JOB_GPUS": "0", "SLURM_STEP_GPUS": "0"},
        {"SLURM_JOB_GPUS": ""},
    ],
)
def test_the_cpu_where_no_gpu_is_meant(
    machine: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if "CUDA_VISIBLE_DEVICES" in variables:
        (machine / "dev/nvidia0").touch()
    assert device() == torch.device("cpu")
    assert device_kind(device()) == "cpu"
    assert device_name(device()).startswith("CPU ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CUDA_VISIBLE_DEVICES", "0"),
        ("CUDA_VISIBLE_DEVICES", "2,3"),
        ("CUDA_VISIBLE_DEVICES", "GPU-8932f937"),
        ("CUDA_VISIBLE_DEVICES", "MIG-GPU-8932f937/1/0"),
        ("SLURM_JOB_GPUS", "0"),
        ("SLURM_STEP_GPUS", "3"),
    ],
)
def test_never_the_cpu_in_place_of_a_gpu(machine: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(CloserlookError) as refused:
        device()
    message = str(refused.value)
    assert f"{name}={value}" in message
    assert torch.__version__ in message
    assert 'CUDA_VISIBLE_DEVICES=""' in message


def test_a_gpu_that_torch_cannot_use(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that is too old for the CUDA of torch: its version, and torch's own words, are told."""
    (machine / "dev/nvidia0").touch()
    (machine / "dev/nvidiactl").touch()
    (machine / "proc/driver/nvidia").mkdir(parents=True)
    version = (
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.104.05  Release Build  (dvs-builder)\nGCC 12.2\n"
    )
    (machine / "proc/driver/nvidia/version").write_text(version)

    def too_old() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12020). Please update it\nmore")

    monkeypatch.setattr(torch.cuda, "init", too_old)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(CloserlookError) as refused:
        device()
    for words in ("dev/nvidia0", "built for CUDA 13.0", "is too old (found version 12020)", "535.104.05"):
        assert words in str(refused.value)
    assert "more" not in str(refused.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_gpu_of_another_job_is_none(machine: Path) -> None:
    (machine / "dev/nvidia0").touch(mode=0o000)
    assert device() == torch.device("cpu")


def test_a_job_with_a_gpu_that_is_not_there_fails_before_it_computes(tmp_path: Path) -> None:
    """A program that a person or a rule starts: exit status 2 and one line, no result."""
    folder = saved(tiny_model(), tmp_path / "model", byte_tokenizer())
    words = ["--base", folder, "--tuned", folder, "--responses", tmp_path / "none.parquet", "--out", tmp_path / "out"]
    write_parquet([], RESPONSES, tmp_path / "none.parquet")
    command = [sys.executable, "workflow/scripts/shift.py", *map(str, words)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "0"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: CUDA_VISIBLE_DEVICES=0 means a GPU")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight GPUs, as far as the choice of a device needs them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"NVIDIA H100 number {device.index}")


@pytest.mark.usefixtures("gpus")
def test_a_gpu_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert device() == torch.device("cuda", 3)
    assert device_kind(device()) == device_name(device()) == "NVIDIA H100 number 3"


@pytest.mark.usefixtures("gpus")
def test_weights_are_read_onto_the_gpu_of_the_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is current before they are, since peft loads adapters onto the current one."""
    model, calls = tiny_model(), []
    saved(model, tmp_path)

    def from_pretrained(folder: Path, **options: Any) -> Any:
        calls.append(options["device_map"])
        return model

    monkeypatch.setattr(torch.cuda, "set_device", calls.append)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", from_pretrained)
    monkeypatch.setenv("LOCAL_RANK", "5")
    load_base(tmp_path, device())
    assert calls == [5, {"": torch.device("cuda", 5)}]


def test_determinism_is_switched_on_and_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with deterministic_algorithms(False):
        assert not torch.are_deterministic_algorithms_enabled()
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    with deterministic_algorithms(True):
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
