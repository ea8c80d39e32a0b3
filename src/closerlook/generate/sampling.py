"""Sampling the next token with random numbers that depend on the response and not on its batch."""

import hashlib

import torch
from torch import Tensor

from closerlook.config.settings import GenerateSettings


def seed_of(seed: int, id: str) -> int:
    """The seed of one response's random numbers, which depends on the run's seed and the response's id alone: 64 bits, signed."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{id}".encode()).digest()[:8], "little", signed=True)


def uniform_draws(seed: int, id: str, count: int) -> Tensor:
    """`count` uniform numbers in [0, 1), float64, that depend only on the seed and the response's id."""
    generator = torch.Generator().manual_seed(seed_of(seed, id))
    return torch.rand(count, generator=generator, dtype=torch.float64)


def next_tokens(logits: Tensor, settings: GenerateSettings, uniform: Tensor) -> Tensor:
    """Next token of each row, (rows,) int64, from logits (rows, vocabulary) and one uniform number per row.

    It inverts the cumulative distribution over the token ids of the
    nucleus: the likeliest tokens whose probabilities reach top_p (Holtzman et al. 2020).
    """
    probabilities = torch.softmax(logits.double() / settings.temperature, -1)
    if settings.top_p < 1:
        ordered = probabilities.sort(-1, descending=True).values
        needed = ((ordered.cumsum(-1) - ordered) < settings.top_p).sum(-1, keepdim=True)
        probabilities = probabilities * (probabilities >= ordered.gather(-1, needed - 1))
    cumulated = probabilities.cumsum(-1)
    target = uniform.to(logits.device)[:, None] * cumulated[:, -1:]
    return torch.searchsorted(cumulated, target, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
