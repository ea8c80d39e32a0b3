"""Set up a training: load the base model, select what is trained, build the optimizer, wrap both for DDP or DeepSpeed."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig
from transformers.integrations import HfDeepSpeedConfig

from closerlook.config.cell import CellConfig
from closerlook.config.settings import EngineSettings, TrainSettings
from closerlook.core.errors import CloserlookError
from closerlook.models.load import load_base
from closerlook.models.packed import PACKED
from closerlook.train import zero
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

    def micro_steps(self, world: Distributed) -> int:
        """Micro-batches per rank and optimizer step: as many as keep each at `micro_batch` instances on average."""
        if self.settings.batch_size < world.size:
            raise CloserlookError(
                f"batch_size {self.settings.batch_size} is smaller than the number of ranks, {world.size}: "
                "some would have nothing to do; use fewer ranks"
            )
        return math.ceil(self.settings.batch_size / (self.engine.micro_batch * world.size))

    def in_bfloat16(self, world: Distributed) -> bool:
        """Whether forward and backward passes compute in bfloat16."""
        return self.engine.precision == "bfloat16" or (self.engine.precision == "auto" and world.device.type == "cuda")


def set_up(job: Job, world: Distributed) -> DataParallel | Zero:
    """Load the base model, make trainable what `settings.kind` trains, and wrap it for data parallelism or ZeRO.

    Trained parameters have float32 master weights. Frozen weights are bfloat16 where the passes are.
    """
    bfloat16, micro_steps = job.in_bfloat16(world), job.micro_steps(world)
    config = None
    if job.engine.deepspeed:
        hidden = AutoConfig.from_pretrained(job.model, local_files_only=True).get_text_config().hidden_size
        config = zero.read_config(Path(job.engine.deepspeed), job.settings, bfloat16, micro_steps, world.size, hidden)
        zero.join()
        # While this object is alive, from_pretrained divides the weights among the ranks (stage 3).
        loading = HfDeepSpeedConfig(config)
    half = bfloat16 and (job.settings.kind == "lora" or config is not None)
    model = load_base(job.model, world.device, torch.bfloat16 if half else torch.float32, PACKED)
    if job.engine.gradient_checkpointing:
        # Adapters under ZeRO-3 need the reentrant kind, which in turn needs inputs that require gradients.
        reentrant = config is not None and zero.stage(config) == 3 and job.settings.kind == "lora"
        model.activation_checkpointing_enable({"use_reentrant": reentrant})
        if reentrant:
            model.enable_input_require_grads()
    torch.manual_seed(draw_seed(job.settings.seed))  # initializes the adapters, equally on every rank
    module = apply_method(model, job.settings).train()
    if config is not None:
        del loading
        return Zero(module, build_optimizer(module, job.settings), config, world)
    return DataParallel(module, build_optimizer(module, job.settings), job.settings.max_grad_norm, world, bfloat16)


def build_optimizer(module: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """AdamW with weight decay on matrices only, as usual."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
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
