"""DeepSpeed's configuration: the file the user names, with its "auto" values filled from the settings."""

import importlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from closerlook.config.settings import TrainSettings
from closerlook.core.errors import CloserlookError

OURS = ("optimizer", "scheduler", "fp16")
"""Sections that would decide a cell's result; that is for the training settings alone."""


def read_config(path: Path, settings: TrainSettings, bfloat16: bool, ranks: int, hidden_size: int) -> dict[str, Any]:
    """The configuration in `path`, complete. Raises CloserlookError for sections in `OURS` and for "auto" where none is known."""
    try:
        config = json.loads(Path(path).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise CloserlookError(f"DeepSpeed configuration {path}: cannot be read as JSON: {error}") from None
    if refused := [key for key in OURS if key in config]:
        raise CloserlookError(
            f"DeepSpeed configuration {path}: remove {', '.join(refused)}; the training settings decide it"
        )
    # Only DeepSpeed's own bookkeeping uses these. Zero.step says which micro-batch of a step is its last.
    per_rank = -(-settings.batch_size // ranks)
    known = {
        "train_batch_size": per_rank * ranks,
        "train_micro_batch_size_per_gpu": per_rank,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": settings.max_grad_norm,
        "bf16.enabled": bfloat16,
        "zero_optimization.reduce_bucket_size": hidden_size**2,
        "zero_optimization.stage3_prefetch_bucket_size": int(0.9 * hidden_size**2),
        "zero_optimization.stage3_param_persistence_threshold": 10 * hidden_size,
    }
    filled = _fill(config, known, "", path)
    filled |= {"zero_allow_untested_optimizer": True, "zero_force_ds_cpu_optimizer": False}
    return filled


def join(device: torch.device) -> None:
    """Let DeepSpeed use this process's device and the process group that there is, before a model is loaded."""
    if device.type == "cuda":
        # DeepSpeed takes it for the device's number, which differs where each rank sees one GPU alone.
        os.environ["LOCAL_RANK"] = str(device.index)
    else:
        os.environ.setdefault("LOCAL_RANK", "0")
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed

    if device.type == "cpu":
        # On a CPU DeepSpeed compiles an all-reduce over shared memory that training never uses: gloo does its work.
        importlib.import_module("deepspeed.comm.torch").build_shm_op = lambda: None  # type: ignore[attr-defined]
    # Each collective would fill the log with the same line: DeepSpeed still calls them by their old names.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")
    deepspeed.init_distributed(dist.get_backend(), auto_mpi_discovery=False, verbose=False)


def stage(config: dict[str, Any]) -> int:
    """ZeRO stage of a configuration."""
    return config.get("zero_optimization", {}).get("stage", 0)


def _fill(section: dict[str, Any], known: dict[str, Any], prefix: str, path: Path) -> dict[str, Any]:
    filled = {}
    for key, value in section.items():
        name = prefix + key
        if isinstance(value, dict):
            filled[key] = _fill(value, known, f"{name}.", path)
        elif value != "auto":
            filled[key] = value
        elif name in known:
            filled[key] = known[name]
        else:
            raise CloserlookError(
                f'DeepSpeed configuration {path}: {name} is "auto", for which no value is known; write one'
            )
    return filled
