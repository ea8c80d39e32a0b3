"""The ranks of a training: the processes that train one model together."""

import os
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from closerlook.models.device import device

TIMEOUT = timedelta(hours=1)
"""Longest wait for another rank. The others wait while the first one hashes the base model and writes the trained one."""
GLOO_SECONDS = 0.2
"""Time for the threads of an ended process group to free their tensors: a thousand times what they need."""


@dataclass(frozen=True)
class Distributed:
    """The process group, as torchrun or srun started it, and this process's place in it."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def sum(self, *numbers: float | Tensor) -> list[float]:
        """Return the sums over all ranks, in float64. Scalars that are still on the device are not waited for one by one."""
        values = torch.stack(
            [torch.as_tensor(number, dtype=torch.float64).to(self.device, non_blocking=True) for number in numbers]
        )
        if self.size > 1:
            dist.all_reduce(values)
        return values.tolist()

    def broadcast(self, value: Any) -> Any:
        """Return the first rank's `value` on every rank."""
        values = [value]
        if self.size > 1:
            dist.broadcast_object_list(values, device=self.device)
        return values[0]

    def wait(self) -> None:
        """Return when every rank has called this."""
        self.sum(0.0)

    def leave(self) -> None:
        """End the process group, where there is one."""
        if dist.is_initialized():
            dist.destroy_process_group()
            # DeepSpeed keeps references to it, so gloo's threads still run. One of them may be about to free the tensor of the
            # last sum, for which it needs the interpreter; if that has ended by then, the process is aborted
            # (pytorch/pytorch#190489). While this thread sleeps, they have the interpreter.
            time.sleep(GLOO_SECONDS)


def join_ranks(deepspeed: bool) -> Distributed:
    """Join the ranks that RANK, WORLD_SIZE, LOCAL_RANK and MASTER_ADDR describe; without them there is one rank.

    Raises CloserlookError if a GPU is meant and torch can use none.
    """
    rank, size, own_device = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)), device()
    backend = "gloo"
    if own_device.type == "cuda":
        torch.cuda.set_device(own_device)
        backend = "nccl"
    if size > 1:
        dist.init_process_group(backend, timeout=TIMEOUT)
    elif deepspeed:  # it needs a process group even for one rank
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    return Distributed(rank, size, own_device)
