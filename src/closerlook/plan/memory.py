"""Memory of a training, per GPU and per node: parameters, gradients, optimizer states, activations, logits, buffers.

Model states follow ZeRO (Rajbhandari et al. 2020) with this project's precisions. Activations are counted as in Korthikanti
et al. 2022, for what this project's models save. tests/unit/plan compares the states with DeepSpeed's estimators, and the
activations with the tensors that autograd holds.
"""

import json
import math
from dataclasses import dataclass, fields
from typing import Literal

from closerlook.config.settings import EngineSettings, TrainSettings
from closerlook.core.errors import CloserlookError
from closerlook.plan.shape import Shape
from closerlook.plan.work import Lengths, count_micro_steps

Mode = Literal["float32", "bfloat16"]
"""The dtype of passes. What is trained has float32 master weights too where that is bfloat16."""
Widths = tuple[int, int, int, int]

SAVED_BYTES: dict[str, dict[Mode, tuple[Widths, Widths]]] = {
    "llama": {
        "float32": ((24, 12, 8, 16), (16, 12, 8, 16)),
        "bfloat16": ((16, 6, 4, 8), (12, 6, 4, 8)),
    },
    "qwen3": {  # Llama with norms of query and key heads
        "float32": ((24, 20, 16, 16), (16, 16, 12, 16)),
        "bfloat16": ((16, 12, 10, 8), (12, 10, 8, 8)),
    },
    "gemma3_text": {
        "float32": ((40, 20, 16, 16), (24, 16, 12, 16)),
        "bfloat16": ((36, 14, 12, 8), (20, 10, 8, 8)),
    },
    "phi": {
        "float32": ((10, 10, 8, 20), (10, 10, 8, 20)),
        "bfloat16": ((5, 5, 4, 10), (5, 5, 4, 10)),
    },
}
"""Bytes that a layer saves for the backward pass, per token and unit of (hidden, query, key, intermediate) width.

First for full tuning, then for LoRA and biases: a frozen norm or linear layer saves less.
"""
SAVED_BYTES["mistral"] = SAVED_BYTES["llama"]
KEPT_BYTES = 1 << 29
"""Exponentials of logits that the loss holds at a time (closerlook.train.loss.KEPT_BYTES)."""


@dataclass(frozen=True)
class Zero:
    """The part of a DeepSpeed configuration that decides memory."""

    stage: int
    offload_optimizer: bool
    offload_parameters: bool
    max_live_parameters: float
    """Most parameters that stage 3 keeps gathered."""
    bucket: float
    """Gradients reduced at a time; twice the bucket's size where communication overlaps with computation."""

    @classmethod
    def parse(cls, text: str, hidden: int, file: str) -> "Zero":
        """Read a DeepSpeed JSON; "auto" is as training fills it. Raises CloserlookError for anything but a JSON mapping."""
        try:
            config = json.loads(text)
        except ValueError as error:
            raise CloserlookError(f"DeepSpeed configuration {file}: cannot be read as JSON: {error}") from None
        section = config.get("zero_optimization", {}) if isinstance(config, dict) else None
        if not isinstance(section, dict):
            raise CloserlookError(f"DeepSpeed configuration {file}: expected a mapping, zero_optimization too")
        bucket = section.get("reduce_bucket_size", 5e8)
        return cls(
            section.get("stage", 0),
            section.get("offload_optimizer", {}).get("device", "none") != "none",
            section.get("offload_param", {}).get("device", "none") != "none",
            section.get("stage3_max_live_parameters", 1e9),
            (hidden**2 if bucket == "auto" else bucket) * (2 if section.get("overlap_comm") else 1),
        )


@dataclass(frozen=True)
class Memory:
    """Bytes on each GPU, by what they hold."""

    parameters: float
    gradients: float
    optimizer: float
    activations: float
    """Saved for the backward pass."""
    working: float
    """The larger of the LM head's logits and weight gradient, and the layer whose backward pass runs."""
    buffers: float
    """DeepSpeed's communication buckets."""

    @property
    def total(self) -> float:
        """The sum of all parts."""
        return sum(getattr(self, field.name) for field in fields(self))


@dataclass
class TrainingMemory:
    """Estimates the memory of a training on any number of ranks."""

    shape: Shape
    settings: TrainSettings
    engine: EngineSettings
    zero: Zero | None
    """None for data parallelism."""
    mode: Mode
    lengths: Lengths

    def __post_init__(self) -> None:
        lora = self.settings.kind == "lora"
        self._trained = self.shape.trainable(self.settings)
        self._all_parameters = self.shape.total + (self._trained if lora else 0)
        self._width = 4 if self.mode == "float32" else 2

    def per_gpu(self, ranks: int) -> Memory:
        """Return what each of `ranks` GPUs holds at its peak."""
        shape, full = self.shape, self.settings.kind == "full"
        parameters, gradients, optimizer, buffers = self._zero_states(self.zero, ranks) if self.zero else self._states()
        tokens, micro_steps = self._peak_tokens(ranks)
        widths = shape.hidden, shape.query_width, shape.key_width, shape.architecture.intermediate_size
        saved_bytes = SAVED_BYTES[shape.architecture.model_type][self.mode][0 if full else 1]
        layer = tokens * sum(size * width for size, width in zip(saved_bytes, widths, strict=True))
        if self.engine.gradient_checkpointing:  # only the layers' inputs are saved
            activations, layer_at_work = tokens * shape.layers * self._width * shape.hidden, 1.5 * layer
        else:
            activations, layer_at_work = shape.layers * layer, layer
        working = max(layer_at_work, self._head(tokens * self.lengths.trained / self.lengths.mean))
        if self.zero is None and ranks == micro_steps == 1:
            gradients = max(0, gradients - activations - working)  # they grow while the activations shrink
        return Memory(parameters, gradients, optimizer, activations, working, buffers)

    def first_node(self, ranks: int, ranks_per_node: int) -> float:
        """Return the bytes of main memory on the first node: weights that are loaded or gathered, and what is offloaded.

        Every rank loads the whole model; with ZeRO-3 only the first does.
        """
        local_ranks = min(ranks, ranks_per_node)
        # Without DeepSpeed, the float32 weights that are loaded become the master weights.
        width = self._width if self.zero or self.settings.kind == "lora" else 4
        weights = self.shape.total * width
        total: float = weights * (1 if self.zero and self.zero.stage == 3 else local_ranks)
        if self.zero and self.zero.offload_optimizer:
            total += 16 * self._trained * local_ranks / ranks
        if self.zero and self.zero.offload_parameters:
            total += weights * local_ranks / ranks
        return total

    def _states(self) -> tuple[float, float, float, float]:
        """Parameters, gradients, optimizer states and buffers under data parallelism: everything on every rank."""
        masters = 4 * self._trained if self.mode == "bfloat16" else 0
        return self._width * self._all_parameters + masters, 4 * self._trained, 8 * self._trained, 0

    def _zero_states(self, zero: Zero, ranks: int) -> tuple[float, float, float, float]:
        """Like _states. ZeRO-1 divides optimizer states and master weights by the ranks, 2 also gradients, 3 also parameters."""
        width = self._width
        parameters: float = width * self._all_parameters
        if zero.stage == 3:
            own_share = 0 if zero.offload_parameters else parameters / ranks
            parameters = own_share + width * min(self._all_parameters, zero.max_live_parameters)
        gradients = (4 if zero.stage == 3 else 4 + width) * self._trained / (ranks if zero.stage >= 2 else 1)
        optimizer = 12 * self._trained / (ranks if zero.stage >= 1 else 1)
        if zero.offload_optimizer:
            gradients = optimizer = 0
        return parameters, gradients, optimizer, width * min(zero.bucket, 2 * self._trained)

    def _head(self, trained_tokens: float) -> float:
        """Bytes of the LM head and the loss, which scores tokens in pieces.

        Logits are float32 and become exponentials in the dtype of passes. In full tuning the head's weights have a gradient,
        in float32 where it is the sum over several pieces.
        """
        exponentials = trained_tokens * self.shape.architecture.vocab_size * self._width
        logits = min(KEPT_BYTES, exponentials) / self._width * (4 if self.mode == "float32" else 6)
        gradient_bytes = self._width if exponentials <= KEPT_BYTES or self.mode == "float32" else 6
        return logits + (gradient_bytes * self.shape.head if self.settings.kind == "full" else 0)

    def _peak_tokens(self, ranks: int) -> tuple[float, int]:
        """Tokens of the longest micro-batch, and the micro-batches of the longest step: three standard deviations above the mean.

        Training distributes a step's instances so that its micro-batches are about equally long. Where micro_tokens divides
        long steps, some step is a little too short to be divided.
        """
        lengths, engine, settings = self.lengths, self.engine, self.settings
        deviation = math.sqrt(max(0.0, lengths.mean_square - lengths.mean**2) * settings.batch_size)
        step = settings.batch_size * lengths.mean + 3 * deviation
        undivided = step / (count_micro_steps(settings, engine, 0, ranks) * ranks)
        longest = max(lengths.longest, min(undivided, engine.micro_tokens or undivided))
        return longest, count_micro_steps(settings, engine, step, ranks)
