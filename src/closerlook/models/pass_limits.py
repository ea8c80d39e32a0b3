"""Limits of one packed pass over responses, which bound its memory. They decide speed and memory, not the result."""

from typing import NamedTuple

import torch

from closerlook.config.catalog import BATCH_TOKENS

TOKENS = {"cpu": 2048, "cuda": BATCH_TOKENS}
"""Tokens of a pass of BATCH_TOKENS. More are no faster on a CPU."""
LOGITS = {"cpu": 6 << 20, "cuda": 64 << 20}
"""Logits of each model that exist at a time: 24 MB on a CPU, the most that its allocator keeps for the next chunk."""


class PassLimits(NamedTuple):
    """The most tokens of a pass (a longer response is a pass of its own), and the most logits of a model at a time."""

    tokens: int
    logits: int


def pass_limits(batch_tokens: int, device: torch.device) -> PassLimits:
    """Limits of a pass of `batch_tokens` tokens on a GPU, of an eighth of them on a CPU. Half the tokens have half the logits."""
    tokens, logits = (limits[device.type] * batch_tokens // BATCH_TOKENS for limits in (TOKENS, LOGITS))
    return PassLimits(max(1, tokens), max(1, logits))
