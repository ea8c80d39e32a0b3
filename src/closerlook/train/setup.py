"""Set up a training: load the base model, select what is trained, build the optimizer, wrap both for data parallelism or ZeRO."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from transformers.integrations import HfDeepSpeedConfig

from closerlook.config.cell import CellConfig
from closerlook.config.settings import EngineSettings, TrainSettings
from closerlook.core.errors import CloserlookError
from closerlook.models.load import load_base, text_config
from closerlook.models.packed import PACKED
from closerlook.models.precision import fast_dtype
from closerlook.train import zero
from closerlook.train.compiled import compile_layers
from closerlook.train.distributed import Distributed
from closerlook.train.methods import apply_method, draw_seed
from closerlook.train.parallel import DataParallel, Zero


@dataclass(frozen=True)
class Job:
    """One training: its configuration, its inputs, its output folder, and how it runs."""

    config: CellConfig
    model: Path
    """Folder of the base model."""
    data: Path
    """Parquet file of instances (schemas.INSTANCES)."""
    out: Path
    """Folder of the cell."""
    engine: EngineSettings
    scratch: Path | None = None
    """Folder for checkpoints, to which `out` then links; None keeps them in `out`."""

    @property
    def settings(self) -> TrainSettings:
        """Training settings of the cell. Raises CloserlookError for a control."""
        if self.config.train is None:
            raise CloserlookError(f"{self.out}: train: found nothing in its configuration, expected training settings")
        return self.config.train

    def check_ranks(self, world: Distributed) -> None:
        """Raise CloserlookError if there are more ranks than instances in a step."""
        if self.settings.batch_size < world.size:
            raise CloserlookError(
                f"batch_size {self.settings.batch_size} is smaller than the number of ranks, {world.size}: "
                "some would have nothing to do; use fewer ranks"
            )

    def dtype(self, world: Distributed) -> torch.dtype:
        """The dtype of forward and backward passes."""
        return fast_dtype(self.engine.precision, world.device, text_config(self.model).hidden_size)


def set_up(job: Job, world: Distributed) -> DataParallel | Zero:
    """Load the base model, make trainable what `settings.kind` trains, and wrap it for data parallelism or ZeRO.

    Trained parameters have float32 master weights. Frozen weights are bfloat16 where the passes are.
    """
    dtype, config = job.dtype(world), None
    if job.engine.deepspeed:
        bfloat16 = dtype == torch.bfloat16
        hidden_size = text_config(job.model).hidden_size
        config = zero.read_config(Path(job.engine.deepspeed), job.settings, bfloat16, world.size, hidden_size)
        zero.join(world.device)
        # While this object is alive, from_pretrained divides the weights among the ranks (stage 3).
        loading = HfDeepSpeedConfig(config)
    # Float32 weights are the master weights of what is trained; DeepSpeed makes its own.
    loaded = dtype if job.settings.kind == "lora" or config is not None else torch.float32
    model = load_base(job.model, world.device, loaded, PACKED)
    if job.engine.compile:
        compile_layers(model)
    if job.engine.gradient_checkpointing:
        # Adapters under ZeRO-3 need the reentrant kind, which in turn needs inputs that require gradients.
        reentrant = config is not None and zero.stage(config) == 3 and job.settings.kind == "lora"
        # Older releases of transformers have it under its second name alone.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": reentrant})
        if reentrant:
            model.enable_input_require_grads()
    torch.manual_seed(draw_seed(job.settings.seed))  # initializes the adapters, equally on every rank
    module = apply_method(model, job.settings).train()
    if config is not None:
        del loading
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        return Zero(module, build_optimizer(trained, job.settings), config, world)
    optimizer = partial(build_optimizer, settings=job.settings)
    return DataParallel(module, dtype, optimizer, job.settings.max_grad_norm, world)


def build_optimizer(trained: list[Tensor], settings: TrainSettings) -> torch.optim.Optimizer:
    """AdamW with weight decay on matrices only, as usual."""
    matrices = [p for p in trained if len(getattr(p, "ds_shape", p.shape)) > 1]
    others = [p for p in trained if len(getattr(p, "ds_shape", p.shape)) <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.learning_rate, fused=True)


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """Learning rate of the 0-based `step` of `steps`: a linear warm-up, then the schedule; never 0, so that no step is wasted."""
    warmup = math.ceil(settings.warmup_ratio * steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, steps - warmup)
    shape = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
    return settings.learning_rate * shape[settings.schedule]
