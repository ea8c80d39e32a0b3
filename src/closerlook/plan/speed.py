"""How long a GPU takes for optimizer steps, decoding and shift, where no run was measured on one like it.

A GPU computes while the CPU launches its next kernels, so a short micro-batch takes as long as its launches do. All constants
are estimates for an H100 (docs/plan.md): no GPU has confirmed them.
"""

from closerlook.config.catalog import BATCH_TOKENS
from closerlook.config.settings import EngineSettings, TrainSettings
from closerlook.plan.memory import Zero
from closerlook.plan.shape import Shape

LAUNCH_SECONDS = 2.8e-3
"""CPU time to launch the kernels of a layer, forward and backward."""
HOOK_SECONDS = {0: 2.0e-3, 1: 2.0e-3, 2: 2.0e-3, 3: 11.7e-3}
"""CPU time that DeepSpeed adds for each layer, by ZeRO stage."""
LORA_LAUNCHES = 1.5
"""Launches with unmerged adapters in a training, relative to those without."""
REPEATED_LAUNCHES = 4 / 3
"""Launches with gradient checkpointing, which repeats the forward pass, relative to those without."""
LINK = 330e9
"""Bytes per second that a GPU exchanges with others."""
MEMORY = 3e12
"""Bytes per second that a GPU reads from its memory."""
ADAM_BYTES = 30
"""That an update reads and writes for each parameter."""
DECODING_LAUNCH_SECONDS = 0.6e-3
"""CPU time to launch the kernels of a layer, forward only; twice that with unmerged adapters."""
DECODING_OCCUPANCY = 0.5
"""Share of a decoding batch that is still being written, on average: its responses differ in length."""


def step_seconds(
    shape: Shape,
    settings: TrainSettings,
    engine: EngineSettings,
    zero: Zero | None,
    ranks: int,
    micro_steps: int,
    flops: float,
    rate: float,
) -> float:
    """Seconds of an optimizer step of `flops` operations on each GPU; rate: operations per second of a GPU that never waits."""
    stage = zero.stage if zero else 0
    trained, others = shape.trainable(settings), (ranks - 1) / ranks
    launches = shape.layers * (LAUNCH_SECONDS + (HOOK_SECONDS[stage] if zero else 0))
    launches *= LORA_LAUNCHES if settings.kind == "lora" else 1
    launches *= REPEATED_LAUNCHES if engine.gradient_checkpointing else 1
    # In each micro-batch, while it computes: gradients are reduced; stage 3 gathers the weights forward and backward.
    exchanged = 2 * trained * (zero is not None) + 4 * shape.total * (stage == 3)
    micro_step = max(launches, flops / micro_steps / rate, exchanged * others / LINK)
    # After them: gradients are averaged (float32, there and back) or new weights gathered, and Adam updates its share.
    last = {0: 8, 1: 2, 2: 2, 3: 0}[stage] * trained * others / LINK
    update = ADAM_BYTES * trained / (ranks if stage else 1) / MEMORY
    return micro_steps * micro_step + last + update


def decoding_seconds(shape: Shape, lora: bool, tokens: float, batch_size: int) -> float:
    """Seconds to decode `tokens` in batches: each step launches all layers and reads all weights."""
    launches = shape.layers * DECODING_LAUNCH_SECONDS * (2 if lora else 1)
    return tokens / (batch_size * DECODING_OCCUPANCY) * (launches + 2 * shape.total / MEMORY)


def shift_seconds(shape: Shape, lora: bool, tokens: float, rate: float) -> float:
    """Seconds to pass `tokens` through the base and the tuned model."""
    launches = shape.layers * DECODING_LAUNCH_SECONDS
    compute = 2 * shape.total * BATCH_TOKENS / rate
    return tokens / BATCH_TOKENS * (max(launches, compute) + max(launches * (2 if lora else 1), compute))
