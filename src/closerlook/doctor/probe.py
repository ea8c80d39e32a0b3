"""What a job sees. Handed to Python as text, and the standard library is all it needs: the package itself may not be there.

Arguments: a folder of the results, in which a file `login` lies; a folder for checkpoints, or nothing. Prints one line of JSON.
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


def results(folder: Path) -> str:
    """Read what the login node wrote, and write what it shall see."""
    said = (folder / "login").read_text()
    (folder / "job").write_text(said)
    return said


def environment() -> str:
    """The version of torch, once the package itself is there too."""
    import torch

    import closerlook  # noqa: F401

    return torch.__version__


def gpus() -> list[tuple[str, int]]:
    """Name and bytes of each GPU that torch sees."""
    import torch

    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    for index in range(len(found)):
        torch.ones(1, device=f"cuda:{index}")  # seen is not yet usable: the driver may be too old
    return [(one.name, one.total_memory) for one in found]


def scratch(folder: str) -> str:
    """Write there."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x")
    return folder


def attempt(action: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
    """{"found": its value}, or {"error": in words}."""
    try:
        return {"found": action(*arguments)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    report = {
        "node": os.environ.get("SLURMD_NODENAME") or platform.node(),
        "results": attempt(results, Path(sys.argv[1])),
        "environment": attempt(environment),
        "gpus": attempt(gpus),
        "scratch": attempt(scratch, sys.argv[2]),
    }
    print(MARK + json.dumps(report), flush=True)
