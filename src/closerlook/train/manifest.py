"""The manifest of a training: configuration, versions, counts and device, enough to repeat it and to know what it did."""

import platform
import resource
import sys
from statistics import fmean
from typing import Any

import torch
from torch import nn

from closerlook.core.versions import installed_version
from closerlook.models.device import device_name
from closerlook.train.batches import BatchSchedule
from closerlook.train.distributed import Distributed
from closerlook.train.log import Log

LOSS_REDUCTION = (
    "sum of the cross entropies of all trained tokens (responses and their end of sequence) of an optimizer step, over all "
    "micro-batches and ranks, divided by the number of those tokens"
)
ORDER = (
    "one permutation of the instances per epoch, end to end, cut into steps of batch_size; the last step is filled up from one "
    "more permutation"
)
PACKAGES = ("closerlook", "torch", "transformers", "peft", "deepspeed", "accelerate", "tokenizers", "safetensors")


def parameter_counts(module: nn.Module) -> dict[str, int]:
    """Parameters, tied ones once; also where ZeRO-3 holds only a part of each."""
    sizes = [(getattr(p, "ds_numel", p.numel()), p.requires_grad) for p in module.parameters()]
    return {"total": sum(size for size, _ in sizes), "trainable": sum(size for size, trained in sizes if trained)}


def run_facts(log: Log, schedule: BatchSchedule, module: nn.Module, world: Distributed) -> dict[str, Any]:
    """Counts and sums over the whole training, restarts included; and where it ran. Peak memory is the last start's."""
    seconds, tokens = log.total("seconds"), log.total("tokens")
    micro_steps = schedule.micro_steps(world.size)
    return {
        "parameters": parameter_counts(module),
        "steps": len(log.lines),
        "micro_steps": max(micro_steps),
        "mean_micro_steps": fmean(micro_steps),
        "examples_seen": schedule.order.size,
        "order": ORDER,
        "loss_reduction": LOSS_REDUCTION,
        "final_loss": log.lines[-1]["loss"],
        "tokens": tokens,
        "trained_tokens": log.total("trained_tokens"),
        "tokens_per_second": tokens / seconds,
        "wall_seconds": seconds,
        "peak_memory_bytes": _peak_memory(world.device),
        "device": device_name(world.device),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()} | {name: installed_version(name) for name in PACKAGES},
    }


def _peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU's memory, or resident in main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
