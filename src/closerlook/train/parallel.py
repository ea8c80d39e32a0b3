"""The two engines of a training: data parallelism (also with one process) and DeepSpeed's ZeRO. Same methods, same gradients.

Both average gradients over ranks; the loss passed to them is scaled for that (see `closerlook.train.run`).
"""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from closerlook.train.batches import MicroBatch
from closerlook.train.distributed import Distributed

LossOf = Callable[[nn.Module, MicroBatch], Tensor]


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class DataParallel:
    """Every rank has the whole model; the last micro-batch's backward pass averages the gradients."""

    def __init__(
        self,
        module: PreTrainedModel,
        optimizer: torch.optim.Optimizer,
        max_norm: float,
        world: Distributed,
        bfloat16: bool,
    ) -> None:
        self.module, self.optimizer, self.max_norm, self.world = module, optimizer, max_norm, world
        self.autocast = torch.autocast(world.device.type, torch.bfloat16, enabled=bfloat16)
        self.trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.model: Any = module
        if world.size > 1:
            ids = [world.device.index] if world.device.type == "cuda" else None
            self.model = DistributedDataParallel(
                module, device_ids=ids, broadcast_buffers=False, gradient_as_bucket_view=True
            )

    def step(self, batches: list[MicroBatch], loss_of: LossOf, rate: float) -> tuple[float, float]:
        """Take one optimizer step at learning rate `rate`; return this rank's loss and the gradient norm before clipping."""
        set_rate(self.optimizer, rate)
        total = torch.zeros((), device=self.world.device)
        for batch in batches:
            local_only = self.world.size > 1 and batch is not batches[-1]
            with self.model.no_sync() if local_only else nullcontext():
                with self.autocast:
                    loss = loss_of(self.model, batch)
                loss.backward()
            total += loss.detach()
        norm = nn.utils.clip_grad_norm_(self.trained.values(), self.max_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return total.item(), norm.item()

    def measure(self, batches: list[MicroBatch], loss_of: LossOf) -> list[float]:
        """Return the loss of each batch without training on it: no gradient, no dropout, no noise."""
        self.module.eval()
        with torch.no_grad(), self.autocast:
            losses = [loss_of(self.module, batch).item() for batch in batches]
        self.module.train()
        return losses

    def save(self, folder: Path) -> None:
        """Write trained weights and optimizer state. All ranks have the same, so the first one writes."""
        if self.world.first:
            state = {f"{name}/weight": parameter.detach() for name, parameter in self.trained.items()}
            for name, parameter in self.trained.items():
                state |= {f"{name}/{key}": value for key, value in self.optimizer.state[parameter].items()}
            save_file({key: value.contiguous() for key, value in state.items()}, folder / "state.safetensors")

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        for key, value in load_file(folder / "state.safetensors", device=str(self.world.device)).items():
            name, slot = key.rsplit("/", 1)
            if slot == "weight":
                self.trained[name].data.copy_(value)
            else:
                self.optimizer.state[self.trained[name]][slot] = value

    def weights(self, only_trained: bool) -> dict[str, Tensor]:
        """Return the model's state, or only the trained parameters."""
        return {name: p.detach() for name, p in self.trained.items()} if only_trained else self.module.state_dict()


class Zero:
    """DeepSpeed: optimizer state and gradients (stage 2) and parameters (stage 3) are divided among the ranks."""

    def __init__(
        self, module: PreTrainedModel, optimizer: torch.optim.Optimizer, config: dict[str, Any], world: Distributed
    ) -> None:
        import deepspeed

        self.module, self.world = module, world
        self.trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.some_frozen = not all(parameter.requires_grad for parameter in module.parameters())
        self.model, self.optimizer, _, _ = deepspeed.initialize(model=module, optimizer=optimizer, config=config)

    def step(self, batches: list[MicroBatch], loss_of: LossOf, rate: float) -> tuple[float, float]:
        """Take one optimizer step at learning rate `rate`; return this rank's loss and the gradient norm before clipping."""
        set_rate(self.optimizer, rate)
        total = torch.zeros((), device=self.world.device)
        for batch in batches:
            self.model.set_gradient_accumulation_boundary(batch is batches[-1])
            loss = loss_of(self.model, batch)
            self.model.backward(loss, scale_wrt_gas=False)
            total += loss.detach()
        self.model.step()
        return total.item(), float(self.model.get_global_grad_norm())

    def measure(self, batches: list[MicroBatch], loss_of: LossOf) -> list[float]:
        """Return the loss of each batch without training on it; all ranks must call this together, with equally many batches."""
        self.model.eval()
        with torch.no_grad():
            losses = [loss_of(self.model, batch).item() for batch in batches]
        self.model.train()
        self.model.empty_partition_cache()  # stage 3 has begun to fetch parameters for a backward pass that does not come
        return losses

    def save(self, folder: Path) -> None:
        """Write each rank's part."""
        self.model.save_checkpoint(str(folder), tag="state", exclude_frozen_parameters=self.some_frozen)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote, into the same number of ranks."""
        self.model.load_checkpoint(str(folder), tag="state", load_module_strict=not self.some_frozen)

    def weights(self, only_trained: bool) -> dict[str, Tensor]:
        """Gather all parameters, or only the trained ones, one by one in the first rank's memory; empty on other ranks."""
        import deepspeed

        state = {}
        parameters = self.trained.items() if only_trained else self.module.named_parameters(remove_duplicate=False)
        for name, parameter in parameters:
            with deepspeed.zero.GatheredParameters([parameter]):
                if self.world.first:
                    state[name] = parameter.detach().cpu().clone()
        return state
