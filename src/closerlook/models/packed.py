"""Packed batches: sequences concatenated in one row, without padding, each attending only to itself.

A padded batch of instruction data is about half padding. A packed batch is one row of length sum(lengths), and `segments` are
the lengths. No mask is built for the whole row, so the cost grows with the sum of the squared lengths.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

PACKED = "packed"
"""Name of this attention: `from_pretrained(..., attn_implementation=PACKED)` or `model.set_attn_implementation(PACKED)`."""

BATCH_TOKENS = 2048
"""Most tokens of a packed batch of responses; a longer response is a batch of its own."""


def pack(sequences: list[list[int]], device: torch.device | str = "cpu") -> dict[str, Any]:
    """Inputs of a packed forward pass: input_ids and position_ids, int64, (1, sum of lengths), and segments, the lengths."""
    lengths = [len(sequence) for sequence in sequences]
    return {
        "input_ids": torch.tensor([[token for sequence in sequences for token in sequence]], device=device),
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None].to(device),
        "segments": lengths,
        "use_cache": False,
    }


def packed_batches(responses: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Responses (prompt_token_ids, token_ids), in their order, in batches of at most BATCH_TOKENS tokens."""
    batch: list[dict[str, Any]] = []
    tokens = 0
    for row in responses:
        length = len(row["prompt_token_ids"]) + len(row["token_ids"])
        if batch and tokens + length > BATCH_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(row)
        tokens += length
    if batch:
        yield batch


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    segments: list[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention inside each segment. query (1, heads, T, d), key and value (1, key heads, T, d); returns (1, T, heads, d).

    Supports a sliding window (Mistral, Gemma). Raises NotImplementedError for soft-capped logits (Gemma 2), which
    scaled_dot_product_attention cannot compute.
    """
    if softcap is not None:
        raise NotImplementedError("packed attention does not support soft-capped attention logits")
    grouped = query.shape[1] != key.shape[1]
    outputs = []
    for q, k, v in zip(*(tensor.split(segments, dim=2) for tensor in (query, key, value)), strict=True):
        length = q.shape[2]
        window = None
        if sliding_window is not None and length > sliding_window:
            window = torch.ones(length, length, dtype=torch.bool, device=q.device).tril().triu(1 - sliding_window)
        outputs.append(
            scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=window,
                is_causal=window is None,
                dropout_p=dropout,
                scale=scaling,
                enable_gqa=grouped,
            )
        )
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, lambda *args, **kwargs: None)
