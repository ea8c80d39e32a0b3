"""The two engines of a training: data parallelism (also with one process) and DeepSpeed's ZeRO. Same methods, same gradients.

Both average gradients over ranks; the loss passed to them is scaled for that (see `closerlook.train.run`).
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from closerlook.train.batches import MicroBatch
from closerlook.train.distributed import Distributed

LossOf = Callable[[nn.Module, MicroBatch], Tensor]


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class DataParallel:
    """Every rank has the whole model. Gradients are averaged while the last micro-batch's backward pass still computes others.

    Passes are in the model's dtype. The optimizer has float32 weights of its own where that is bfloat16 (mixed precision,
    Micikevicius et al. 2018): a step of 1e-5 is lost in a bfloat16 weight. Gradients are summed over micro-batches in float32.
    """

    def __init__(
        self,
        module: PreTrainedModel,
        dtype: torch.dtype,
        make_optimizer: Callable[[list[Tensor]], torch.optim.Optimizer],
        max_norm: float,
        world: Distributed,
    ) -> None:
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.trained = {name: p.detach().float().requires_grad_() for name, p in trained.items()}
        """The float32 weights, which share memory with the model's where it is float32."""
        self.module, self.max_norm, self.world = module, max_norm, world
        for parameter in module.parameters():  # not module.to(): positions' frequencies are buffers and stay float32
            parameter.data = parameter.data.to(dtype)
        self.optimizer = make_optimizer(list(self.trained.values()))
        self._pairs = list(zip(trained.values(), self.trained.values(), strict=True))
        self._reductions: list[dist.Work] | None = None
        for parameter, master in self._pairs:
            parameter.register_post_accumulate_grad_hook(partial(self._take_gradient, master))

    def _take_gradient(self, master: Tensor, parameter: Tensor) -> None:
        """Add the gradient of a micro-batch to those of the float32 weight; average it over the ranks after the last one."""
        gradient, parameter.grad = parameter.grad, None
        assert gradient is not None
        if master.grad is None:
            master.grad = gradient.float()
        else:
            master.grad += gradient
        if self._reductions is not None:
            master.grad /= self.world.size
            self._reductions.append(dist.all_reduce(master.grad, async_op=True))

    def step(self, batches: list[MicroBatch], loss_of: LossOf, rate: float) -> tuple[Tensor, Tensor]:
        """Take one optimizer step at learning rate `rate`; return this rank's loss and the gradient norm before clipping.

        They are scalars on the device, which may not have computed them yet.
        """
        set_rate(self.optimizer, rate)
        total = torch.zeros((), device=self.world.device)
        for batch in batches:
            if self.world.size > 1 and batch is batches[-1]:
                self._reductions = []
            loss = loss_of(self.module, batch)
            loss.backward()
            total += loss.detach()
        if self._reductions is not None and len(self._reductions) != len(self._pairs):
            raise RuntimeError(
                "a trained parameter has no gradient in the last micro-batch, so ranks cannot average it"
            )
        for reduction in self._reductions or []:
            reduction.wait()
        self._reductions = None
        norm = nn.utils.clip_grad_norm_(self.trained.values(), self.max_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._copy_weights()
        return total, norm

    def _copy_weights(self) -> None:
        """Copy the float32 weights into the model."""
        with torch.no_grad():
            for parameter, master in self._pairs:
                if parameter.data_ptr() != master.data_ptr():
                    parameter.copy_(master)

    def measure(self, batches: list[MicroBatch], loss_of: LossOf) -> list[float]:
        """Return the loss of each batch without training on it: no gradient, no dropout, no noise."""
        self.module.eval()
        with torch.no_grad():
            losses = torch.stack([loss_of(self.module, batch) for batch in batches]).tolist()
        self.module.train()
        return losses

    def save(self, folder: Path) -> None:
        """Write trained weights and optimizer state. All ranks have the same, so the first one writes."""
        if self.world.first:
            state = {f"{name}/weight": master.detach() for name, master in self.trained.items()}
            for name, master in self.trained.items():
                state |= {f"{name}/{key}": value for key, value in self.optimizer.state[master].items()}
            save_file({key: value.contiguous() for key, value in state.items()}, folder / "state.safetensors")

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote."""
        for key, value in load_file(folder / "state.safetensors", device=str(self.world.device)).items():
            name, slot = key.rsplit("/", 1)
            if slot == "weight":
                self.trained[name].data.copy_(value)
            else:
                self.optimizer.state[self.trained[name]][slot] = value
        self._copy_weights()

    def weights(self, only_trained: bool, dtype: torch.dtype) -> dict[str, Tensor]:
        """Return the model's state, or only the trained parameters, in main memory and in `dtype`."""
        tensors = self.trained if only_trained else self.module.state_dict(keep_vars=True)
        masters = {id(parameter): master for parameter, master in self._pairs}
        return _copy_each(tensors, lambda tensor: masters.get(id(tensor), tensor).detach().to("cpu", dtype))


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

    def step(self, batches: list[MicroBatch], loss_of: LossOf, rate: float) -> tuple[Tensor, Tensor]:
        """Take one optimizer step at learning rate `rate`; return this rank's loss and the gradient norm before clipping.

        They are scalars on the device, which may not have computed them yet.
        """
        set_rate(self.optimizer, rate)
        total = torch.zeros((), device=self.world.device)
        for batch in batches:
            self.model.set_gradient_accumulation_boundary(batch is batches[-1])
            loss = loss_of(self.model, batch)
            self.model.backward(loss, scale_wrt_gas=False)
            total += loss.detach()
        self.model.step()
        return total, torch.as_tensor(self.model.get_global_grad_norm())

    def measure(self, batches: list[MicroBatch], loss_of: LossOf) -> list[float]:
        """Return the loss of each batch without training on it; all ranks must call this together, with equally many batches."""
        self.model.eval()
        with torch.no_grad():
            losses = torch.stack([loss_of(self.model, batch) for batch in batches]).tolist()
        self.model.train()
        self.model.empty_partition_cache()  # stage 3 has begun to fetch parameters for a backward pass that does not come
        return losses

    def save(self, folder: Path) -> None:
        """Write each rank's part."""
        self.model.save_checkpoint(str(folder), tag="state", exclude_frozen_parameters=self.some_frozen)

    def load(self, folder: Path) -> None:
        """Restore what `save` wrote, into the same number of ranks."""
        self.model.load_checkpoint(str(folder), tag="state", load_module_strict=not self.some_frozen)

    def weights(self, only_trained: bool, dtype: torch.dtype) -> dict[str, Tensor]:
        """As DataParallel's; all ranks must call it. Tensors are gathered one by one, in the first rank's memory alone."""
        import deepspeed

        def gather(tensor: Tensor) -> Tensor:
            with deepspeed.zero.GatheredParameters([tensor]):
                # A copy: what was gathered is given up again.
                return tensor.detach().to("cpu", dtype, copy=True) if self.world.first else torch.empty(0)

        return _copy_each(self.trained if only_trained else self.module.state_dict(keep_vars=True), gather)


def _copy_each(tensors: Mapping[str, Tensor], copy: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """A copy of each tensor by name. Tied parameters, one tensor with several names, are copied once and stay tied."""
    copies = {key: copy(tensor) for key, tensor in {id(tensor): tensor for tensor in tensors.values()}.items()}
    return {name: copies[id(tensor)] for name, tensor in tensors.items()}
