"""The processes that train together."""

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from closerlook.models.load import device


@dataclass(frozen=True)
class World:
    """The processes that train together, as torchrun or srun started them."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def sum(self, *numbers: float) -> list[float]:
        """Sums over all ranks, in float64."""
        values = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        if self.size > 1:
            dist.all_reduce(values)
        return values.tolist()

    def share(self, value: Any) -> Any:
        """The first rank's `value`, on every rank."""
        values = [value]
        if self.size > 1:
            dist.broadcast_object_list(values, device=self.device)
        return values[0]

    def wait(self) -> None:
        """Go on when every rank has come here."""
        self.sum(0.0)

    def leave(self) -> None:
        """End the process group, where there is one."""
        if dist.is_initialized():
            dist.destroy_process_group()


def join_world(deepspeed: bool) -> World:
    """Join the ranks that RANK, WORLD_SIZE, LOCAL_RANK and MASTER_ADDR tell of; without them, a world of one."""
    rank, size, own = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)), device()
    backend = "gloo"
    if own.type == "cuda":
        torch.cuda.set_device(own)
        backend = "nccl"
    if size > 1:
        dist.init_process_group(backend)
    elif deepspeed:  # needs a process group even of one
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    return World(rank, size, own)
