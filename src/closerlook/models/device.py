"""The device that a process computes on: never the CPU in place of a GPU that was meant."""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from closerlook.core.errors import CloserlookError


def device(gpus: int = 1) -> torch.device:
    """The device of this process: the CPU, or the first of its GPUs, by LOCAL_RANK. gpus: number of GPUs per process.

    Raises CloserlookError if a GPU is meant (by CUDA_VISIBLE_DEVICES, by Slurm, or because there is one) and torch can use none.
    An empty CUDA_VISIBLE_DEVICES means the CPU.
    """
    if not torch.cuda.is_available():
        if sign := _sign_of_gpu():
            raise CloserlookError(_why_no_gpu(sign))
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) * gpus % torch.cuda.device_count())


def device_name(device: torch.device) -> str:
    """The name of a GPU, such as NVIDIA H100 80GB HBM3, or of the processor, after CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    file = Path("/proc/cpuinfo")
    names = re.findall(r"(?m)^model name\s*:(.*)$", file.read_text() if file.is_file() else "")
    return f"CPU {names[0].strip() if names else platform.machine()}"


def device_kind(device: torch.device) -> str:
    """What the parts of one result share: the GPU's name, since two types of GPU round differently; or cpu."""
    return device_name(device) if device.type == "cuda" else "cpu"


def rounding_facts(device: torch.device) -> dict[str, str]:
    """What decides how the rows of a table are rounded, for their identity: libraries, and device_kind."""
    import transformers  # heavy, and `closerlook doctor` needs this module without it

    return {"torch": torch.__version__, "transformers": transformers.__version__, "device": device_kind(device)}


@contextmanager
def deterministic_algorithms(enabled: bool) -> Iterator[None]:
    """If enabled, the same computation gives the same bits each time, on a GPU too. It must begin before CUDA starts.

    Operations that torch has in no deterministic form raise RuntimeError.
    """
    before = torch.are_deterministic_algorithms_enabled()
    if enabled:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS would choose workspaces as they come
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _sign_of_gpu() -> str | None:
    """What says that this process should compute on a GPU."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and not re.match(r"\d|GPU-|MIG-", visible):  # "", -1, NoDevFiles
        return None
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS"):
        if value := os.environ.get(name):
            return f"{name}={value}"
    # A job without GPUs on a node with some may see these files, but not open them.
    files = [file for file in Path("/dev").glob("nvidia[0-9]*") if os.access(file, os.R_OK | os.W_OK)]
    return str(min(files)) if files else None


def _why_no_gpu(sign: str) -> str:
    build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for CPUs only"
    cause = "it finds none"
    try:
        torch.cuda.init()
    except (AssertionError, RuntimeError) as error:
        cause = str(error).splitlines()[0].rstrip(".")
    return (
        f"{sign} means a GPU, but torch {torch.__version__}, built {build}, can use none: {cause}; NVIDIA driver: "
        f"{_driver_version() or 'none found'}. Expected a torch that is built for CUDA, and a driver that supports this "
        "CUDA (nvidia-smi shows the newest that it supports). To compute on the CPU, set CUDA_VISIBLE_DEVICES to nothing: "
        'CUDA_VISIBLE_DEVICES=""'
    )


def _driver_version() -> str | None:
    file = Path("/proc/driver/nvidia/version")
    match = re.search(r"NVRM version:.*?\s(\d+\.[\d.]+)\s", file.read_text() if file.is_file() else "")
    return match and match[1]
