"""Packed batches: sequences concatenated in one row, without padding, each attending only to itself.

A padded batch of instruction data is about half padding. A packed batch is one row of length sum(lengths), and `segments` are
the lengths. No mask is built for the whole row, so the cost grows with the sum of the squared lengths.
"""

from collections.abc import Iterable, Iterator, Sequence
from inspect import signature
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

PACKED = "packed"
"""Name of this attention: `from_pretrained(..., attn_implementation=PACKED)` or `model.set_attn_implementation(PACKED)`."""

_VARLEN_TAKES_GROUPS = "enable_gqa" in signature(varlen_attn).parameters
"""Whether this version of torch can do all segments in one kernel where several heads share a key head."""


def pack(sequences: Sequence[Sequence[int] | np.ndarray], device: torch.device | str = "cpu") -> dict[str, Any]:
    """Inputs of a packed forward pass.

    input_ids and position_ids, int64, (1, sum of lengths); segments, the lengths; and boundaries, int32, (sequences + 1,), the
    position where each segment starts, and the sum of lengths.
    """
    lengths = [len(sequence) for sequence in sequences]
    tokens = np.concatenate([np.asarray(sequence, dtype=np.int64) for sequence in sequences])
    positions = np.concatenate([np.arange(length) for length in lengths])
    boundaries = np.cumsum([0, *lengths], dtype=np.int32)
    return {
        "input_ids": to_device(tokens, device)[None],
        "position_ids": to_device(positions, device)[None],
        "segments": lengths,
        "boundaries": to_device(boundaries, device),
        "use_cache": False,
    }


def to_device(array: np.ndarray, device: torch.device | str) -> Tensor:
    """The array as a tensor on the device. A GPU copies from pinned memory without making the program wait for earlier work."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def packed_batches(responses: Iterable[dict[str, Any]], most: int) -> Iterator[list[dict[str, Any]]]:
    """Responses (prompt_token_ids, token_ids), in their order, in batches of at most `most` tokens, or of one response."""
    batch: list[dict[str, Any]] = []
    tokens = 0
    for row in responses:
        length = len(row["prompt_token_ids"]) + len(row["token_ids"])
        if batch and tokens + length > most:
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
    boundaries: Tensor | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention inside each segment. query (1, heads, T, d), key and value (1, key heads, T, d); returns (1, T, heads, d).

    Supports a sliding window (Mistral, Gemma). With the `boundaries` that `pack` makes, a GPU does all segments in one kernel
    where FlashAttention can. Raises NotImplementedError for soft-capped logits (Gemma 2), which neither that kernel nor
    scaled_dot_product_attention computes.
    """
    if softcap is not None:
        raise NotImplementedError("packed attention does not support soft-capped attention logits")
    if boundaries is not None and dropout == 0.0 and _flash_supports(query, value):
        output = _all_at_once(query, key, value, segments, boundaries, scaling, sliding_window)
    else:
        output = _one_by_one(query, key, value, segments, scaling, dropout, sliding_window)
    return output, None


def _flash_supports(query: Tensor, value: Tensor) -> bool:
    """Whether FlashAttention can do it: 16-bit numbers, one head width of at most 256, compute capability 8.0 or higher."""
    width = query.shape[-1]
    return (
        query.is_cuda
        and query.dtype in (torch.bfloat16, torch.float16)
        and width == value.shape[-1] <= 256
        and width % 8 == 0
        and _VARLEN_TAKES_GROUPS
        and torch.cuda.get_device_capability(query.device) >= (8, 0)
    )


def _all_at_once(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: list[int],
    boundaries: Tensor,
    scaling: float | None,
    sliding_window: int | None,
) -> Tensor:
    """All segments in one kernel: FlashAttention for sequences of any lengths; differentiable."""
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    longest = max(segments)
    # A token sees itself and the `sliding_window - 1` tokens before it; -1 means all tokens before it.
    before = -1 if sliding_window is None else sliding_window - 1
    output = varlen_attn(
        q,
        k,
        v,
        boundaries,
        boundaries,
        longest,
        longest,
        scale=scaling,
        window_size=(before, 0),
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return cast(Tensor, output)[None]  # a tuple only with return_aux


def _one_by_one(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: list[int],
    scaling: float | None,
    dropout: float,
    sliding_window: int | None,
) -> Tensor:
    """One segment after another: on CPUs, in float32, and the reference for the other way."""
    if query.is_cuda:
        # With fewer key heads, a mask or float32 can leave only the kernel that holds the scores of all pairs of tokens.
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
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
                enable_gqa=q.shape[1] != k.shape[1],
            )
        )
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous()


# No mask function of this name is registered: transformers then makes no mask and does not look for packed sequences itself, for
# which it would read a value from the GPU in every pass.
AttentionInterface.register(PACKED, packed_attention)
