"""Limits of one packed pass over responses, which bound its memory. They decide speed and memory, not the result."""

from typing import NamedTuple

import torch

from closerlook.config.catalog import BATCH_TOKENS

CPU_TOKENS = 2048
"""Most tokens of a pass on a CPU: more are no faster there."""
LOGITS = {"cpu": 6 << 20, "cuda": 64 << 20}
"""Logits of each model that exist at a time: 24 MB on a CPU, the most that its allocator keeps for the next chunk."""


class PassLimits(NamedTuple):
    """The most tokens of a pass (a longer response is a pass of its own), and the most logits of a model at a time."""

    tokens: int
    logits: int


def pass_limits(batch_tokens: int, device: torch.device) -> PassLimits:
    """Limits of a pass of `batch_tokens` tokens. Half the tokens have half the logits."""
    if device.type == "cpu":
        return PassLimits(min(batch_tokens, CPU_TOKENS), LOGITS["cpu"])
    return PassLimits(batch_tokens, LOGITS["cuda"] * batch_tokens // BATCH_TOKENS)
