"""Memory of a training, per GPU and per node: parameters, gradients, optimizer states, activations, logits, buffers.

Model states after Rajbhandari et al. 2020 (ZeRO), with this project's precisions; activations counted as Korthikanti et al.
2022 do, for what this project's models really save. tests/unit/plan compares the one with DeepSpeed's estimators, the other with
the tensors that autograd holds.
"""

import json
import math
from dataclasses import dataclass, fields
from typing import Literal

from closerlook.config.settings import EngineSettings, TrainSettings
from closerlook.core.errors import CloserlookError
from closerlook.plan.shape import Shape
from closerlook.plan.work import Lengths

Mode = Literal["float32", "autocast", "bfloat16"]
"""float32; bfloat16 products over float32 master weights (data parallelism); everything in bfloat16 (DeepSpeed)."""

SAVED: dict[str, dict[tuple[Mode, bool], tuple[int, int, int, int]]] = {
    "llama": {
        ("float32", True): (24, 12, 8, 16),
        ("autocast", True): (26, 6, 4, 8),
        ("bfloat16", True): (16, 6, 4, 8),
        ("float32", False): (16, 12, 8, 16),
        ("autocast", False): (18, 6, 4, 8),
        ("bfloat16", False): (12, 6, 4, 8),
    },
    "qwen3": {  # Llama with norms of query and key heads
        ("float32", True): (24, 20, 16, 16),
        ("autocast", True): (26, 14, 12, 8),
        ("bfloat16", True): (16, 12, 10, 8),
        ("float32", False): (16, 16, 12, 16),
        ("autocast", False): (18, 10, 8, 8),
        ("bfloat16", False): (12, 10, 8, 8),
    },
    "gemma3_text": {
        ("float32", True): (40, 20, 16, 16),
        ("autocast", True): (42, 14, 12, 8),
        ("bfloat16", True): (36, 14, 12, 8),
        ("float32", False): (24, 16, 12, 16),
        ("autocast", False): (26, 10, 8, 8),
        ("bfloat16", False): (20, 10, 8, 8),
    },
    "phi": {
        ("float32", True): (10, 10, 8, 20),
        ("autocast", True): (9, 9, 4, 10),
        ("bfloat16", True): (5, 5, 4, 10),
        ("float32", False): (10, 10, 8, 20),
        ("autocast", False): (8, 8, 4, 10),
        ("bfloat16", False): (5, 5, 4, 10),
    },
}
"""Bytes that a layer saves for the backward pass, per token and unit of (hidden, queries, keys, intermediate) width.

The flag says whether all parameters are trained (full); a frozen norm or linear layer saves less (LoRA, bias).
"""
LOGITS = 1 << 25
"""Logits that the loss holds at a time (closerlook.train.loss.PIECE)."""


@dataclass(frozen=True)
class Zero:
    """What a DeepSpeed configuration says about memory."""

    stage: int
    offload_optimizer: bool
    offload_parameters: bool
    live: float
    """Parameters that stage 3 keeps gathered at most."""
    bucket: float
    """Gradients that are reduced at a time, both buffers counted where communication overlaps."""

    @classmethod
    def parse(cls, text: str, hidden: int, file: str) -> "Zero":
        """Read a DeepSpeed JSON; "auto" as the training fills it. Raises CloserlookError for what is no mapping in JSON."""
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
    """What layers save for the backward pass."""
    working: float
    """Logits and weight gradient of the LM head, or the layer whose backward pass runs: whichever is more."""
    buffers: float
    """Copies of weights in bfloat16, and DeepSpeed's communication buckets."""

    @property
    def total(self) -> float:
        """All of it."""
        return sum(getattr(self, field.name) for field in fields(self))


def mode_of(bfloat16: bool, deepspeed: bool) -> Mode:
    """How a training computes."""
    return "float32" if not bfloat16 else "bfloat16" if deepspeed else "autocast"


def memory(
    shape: Shape,
    settings: TrainSettings,
    engine: EngineSettings,
    zero: Zero | None,
    mode: Mode,
    ranks: int,
    lengths: Lengths,
) -> Memory:
    """What each of `ranks` GPUs holds at its peak."""
    full = settings.kind == "full"
    trained = shape.trainable(settings)
    everything = shape.total + (trained if settings.kind == "lora" else 0)
    if zero is None:
        states = _data_parallel(shape, settings.kind, mode, trained, everything)
    else:
        states = _zero(zero, mode, trained, everything, ranks)
    parameters, gradients, optimizer, buffers = states
    tokens = peak_tokens(settings, engine, ranks, lengths)
    layer = tokens * _layer(shape, full, mode)
    if engine.gradient_checkpointing:
        saved, at_work = tokens * shape.layers * _residual(full, mode) * shape.hidden, 1.5 * layer
    else:
        saved, at_work = shape.layers * layer, layer
    working = max(at_work, _head(shape, full, mode, tokens * lengths.trained / lengths.mean))
    if zero is None and ranks == 1 and micro_steps(settings, engine, ranks) == 1:
        gradients = max(0, gradients - saved - working)  # they grow while the activations go
    return Memory(parameters, gradients, optimizer, saved, working, buffers)


def _data_parallel(
    shape: Shape, kind: str, mode: Mode, trained: int, everything: int
) -> tuple[float, float, float, float]:
    """All states on every rank, in float32; LoRA's frozen weights in bfloat16. Autocast copies float32 weights as it goes."""
    frozen = 2 if kind == "lora" and mode == "autocast" else 4
    copies = 2 * shape.body if mode == "autocast" and kind != "lora" else 0
    return 4 * trained + frozen * (everything - trained), 4 * trained, 8 * trained, copies


def _zero(zero: Zero, mode: Mode, trained: int, everything: int, ranks: int) -> tuple[float, float, float, float]:
    """States divided among ranks: the optimizer's and master weights from stage 1, gradients from 2, parameters from 3."""
    width = 4 if mode == "float32" else 2
    parameters: float = width * everything
    if zero.stage == 3:
        divided = 0 if zero.offload_parameters else width * everything / ranks
        parameters = divided + width * min(everything, zero.live)
    share = ranks if zero.stage >= 2 else 1
    gradients = (4 if zero.stage == 3 else 4 + width) * trained / share
    optimizer = 12 * trained / (ranks if zero.stage >= 1 else 1)
    if zero.offload_optimizer:
        gradients = optimizer = 0
    return parameters, gradients, optimizer, width * min(zero.bucket, 2 * trained)


def _layer(shape: Shape, full: bool, mode: Mode) -> float:
    """Bytes that one layer saves per token."""
    family = {"mistral": "llama"}.get(shape.architecture.model_type, shape.architecture.model_type)
    widths = shape.hidden, shape.queries, shape.keys, shape.architecture.intermediate_size
    return sum(a * b for a, b in zip(SAVED[family][mode, full], widths, strict=True))


def _residual(full: bool, mode: Mode) -> int:
    """Bytes per number between layers, which is what checkpointing saves: autocast keeps it as wide as the embedding is."""
    return 2 if mode == "bfloat16" or (mode == "autocast" and not full) else 4


def _head(shape: Shape, full: bool, mode: Mode, trained: float) -> float:
    """The loss scores the `trained` tokens piece by piece, in float32, with copies where products are in bfloat16.

    The head's weights get a gradient in full tuning, and a bfloat16 copy where they are float32 under autocast.
    """
    logits = min(LOGITS, trained * shape.architecture.vocab_size) * (4 if mode == "float32" else 8)
    weights = {"float32": 4, "autocast": 8, "bfloat16": 6}[mode] if full else 0
    return logits + weights * shape.head


def micro_steps(settings: TrainSettings, engine: EngineSettings, ranks: int) -> int:
    """Micro-batches per rank and optimiser step, as the training divides it."""
    return math.ceil(settings.batch_size / (engine.micro_batch * ranks))


def peak_tokens(settings: TrainSettings, engine: EngineSettings, ranks: int, lengths: Lengths) -> float:
    """Tokens of the longest micro-batch: three standard deviations above the mean step, or one instance that is longer.

    The training deals a step's instances out so that all its micro-batches are about equally long.
    """
    groups = ranks * micro_steps(settings, engine, ranks)
    deviation = math.sqrt(max(0.0, lengths.mean_square - lengths.mean**2) * settings.batch_size)
    return max(lengths.longest, (settings.batch_size * lengths.mean + 3 * deviation) / groups)


def host_memory(
    shape: Shape, settings: TrainSettings, zero: Zero | None, mode: Mode, ranks: int, ranks_per_node: int
) -> float:
    """Bytes of main memory on the first node: weights being loaded or gathered for saving, and what is offloaded.

    Without ZeRO-3 every rank loads the whole model; with it only the first does.
    """
    here = min(ranks, ranks_per_node)
    trained = shape.trainable(settings)
    width = 2 if mode == "bfloat16" or (mode == "autocast" and settings.kind == "lora") else 4
    whole = width * shape.total
    loading = whole * (1 if zero and zero.stage == 3 else here)
    offloaded = 0.0
    if zero and zero.offload_optimizer:
        offloaded += 16 * trained * here / ranks
    if zero and zero.offload_parameters:
        offloaded += whole * here / ranks
    return loading + offloaded
