"""The program of a doctor's job. It is passed to Python as text, and needs only the standard library.

Arguments: a folder with a file `login`; a scratch folder, or "". Prints one line of JSON, after MARK.
"""

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

MARK = "closerlook doctor: "


def copy_text(folder: Path) -> None:
    """Copy the login node's text to a file of the job."""
    (folder / "job").write_text((folder / "login").read_text())


def torch_version() -> str:
    """Import closerlook and torch, and return the version of torch."""
    import torch

    import closerlook  # noqa: F401

    return torch.__version__


def gpus() -> list[tuple[str, int]]:
    """Return name and bytes of each GPU that torch sees. Raises if one cannot be used, as the job of a model would."""
    import torch

    from closerlook.models.device import device

    device()
    devices = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    for index in range(len(devices)):
        torch.ones(1, device=f"cuda:{index}")
    return [(device.name, device.total_memory) for device in devices]


def write_file(folder: str) -> None:
    """Write a temporary file in a folder."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x")


def attempt(action: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """Return {"value": the result of the action}, or {"error": a message}."""
    try:
        return {"value": action(*arguments)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    report = {
        "node": os.environ.get("SLURMD_NODENAME") or platform.node(),
        "results": attempt(copy_text, Path(sys.argv[1])),
        "environment": attempt(torch_version),
        "gpus": attempt(gpus),
        "scratch": attempt(write_file, sys.argv[2]),
    }
    print(MARK + json.dumps(report), flush=True)
