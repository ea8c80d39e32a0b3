"""A KV cache whose rows have different lengths: no prompt is padded, and a finished row is free at once.

With padding, a response depends on its batch: padding shifts positions and costs arithmetic. Here prompts are read end to end in
one packed row (closerlook.models.packed), their keys and values are copied into one cache row per response, and each decoding
step attends to the tokens in use of each row. The model itself does not know of it: only the attention function sees
`ragged_cache`.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from closerlook.models.packed import packed_attention

RAGGED = "ragged"
"""Attention of a model that decodes with a `RaggedKVCache`: `from_pretrained(..., attn_implementation=RAGGED)`."""

_SPARE = 64
"""Tokens of capacity that are added beyond what is needed now; it grows with the cache."""


class RaggedKVCache:
    """Keys and values of unfinished responses: per layer two tensors (rows, key heads, capacity, head width)."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.lengths: list[int] = []
        self.segments: list[int] | None = None
        self._longest = 0
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}

    def add_prompts(self, lengths: list[int]) -> None:
        """Prepare a packed pass over new prompts of these lengths, which take the rows after those in use."""
        self.segments = lengths
        self.lengths = self.lengths + lengths
        self._longest = max(self.lengths)

    def advance(self, device: torch.device) -> Tensor:
        """Prepare a pass over one new token per row; returns their positions, (rows in use, 1), int64."""
        self.segments = None
        self._new = {device: torch.tensor(self.lengths, device=device)}
        self.lengths = [length + 1 for length in self.lengths]
        self._longest = max(self.lengths)
        self._rows: dict[torch.device, Tensor] = {}
        self._masks: dict[tuple[int | None, torch.device], Tensor] = {}
        return self._new[device][:, None]

    def release(self, row: int) -> None:
        """Free a row: the last row in use is moved to its index."""
        last = len(self.lengths) - 1
        if row != last:
            for tensor in (*self._keys.values(), *self._values.values()):
                tensor[row, :, : self.lengths[last]] = tensor[last, :, : self.lengths[last]]
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()

    def store(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Copy the packed keys and values of new prompts, (1, key heads, sum of lengths, width), into their rows."""
        assert self.segments is not None
        keys, values = self._buffers(layer, key, value)
        first = len(self.lengths) - len(self.segments)
        pairs = zip(key[0].split(self.segments, dim=1), value[0].split(self.segments, dim=1), strict=True)
        for row, (k, v) in enumerate(pairs, start=first):
            keys[row, :, : k.shape[1]] = k
            values[row, :, : v.shape[1]] = v

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add one token per row, (rows in use, key heads, 1, width); returns all keys and values, up to the longest row."""
        keys, values = self._buffers(layer, key, value)
        used, positions = len(self.lengths), self._new_positions(key.device)
        if key.device not in self._rows:
            self._rows[key.device] = torch.arange(used, device=key.device)
        rows = self._rows[key.device]
        keys[rows, :, positions] = key[:, :, 0]
        values[rows, :, positions] = value[:, :, 0]
        return keys[:used, :, : self._longest], values[:used, :, : self._longest]

    def _new_positions(self, device: torch.device) -> Tensor:
        """The position of each row's new token, (rows in use,). Copied once per step to each device that has layers."""
        if device not in self._new:
            self._new[device] = next(iter(self._new.values())).to(device)
        return self._new[device]

    def mask(self, window: int | None, like: Tensor) -> Tensor:
        """The mask to add to the scores of one step, (rows in use, 1, 1, longest row): 0 for visible tokens, else -inf."""
        key = window, like.device  # layers may be on several devices
        if key not in self._masks:
            position = torch.arange(self._longest, device=like.device)
            newest = self._new_positions(like.device)[:, None]
            hidden = position > newest
            if window is not None:
                hidden |= position <= newest - window
            self._masks[key] = like.new_zeros(hidden.shape).masked_fill_(hidden, float("-inf"))[:, None, None]
        return self._masks[key]

    def _buffers(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's tensors, allocated or enlarged to fit the longest row."""
        needed = self._longest
        for buffers, like in ((self._keys, key), (self._values, value)):
            old = buffers.get(layer)
            if old is None or old.shape[2] < needed:
                capacity = needed + (_SPARE if old is None else max(_SPARE, needed // 2))
                shape = (self.rows, like.shape[1], capacity, like.shape[3])
                new = like.new_zeros(shape)  # zeros, because a weight of 0 times a stale NaN is NaN
                if old is not None:
                    new[:, :, : old.shape[2]] = old
                buffers[layer] = new
        return self._keys[layer], self._values[layer]


def ragged_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    ragged_cache: RaggedKVCache | None = None,
    segments: list[int] | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention of a packed pass over prompts (fills the cache) or of one step (reads it); without a cache, packed attention.

    query (rows, heads, T, d), key and value (rows, key heads, T, d); returns (rows, T, heads, d).
    """
    layer = cast(int, module.layer_idx)
    if ragged_cache is not None and ragged_cache.segments is None:
        keys, values = ragged_cache.append(layer, key, value)
        rows, heads, _, width = query.shape
        # With one query per row, the heads that share a key head are treated as its queries: no key is repeated.
        grouped = query.reshape(rows, keys.shape[1], -1, width)
        mask = ragged_cache.mask(sliding_window, query)
        output = scaled_dot_product_attention(grouped, keys, values, attn_mask=mask, scale=scaling)
        return output.reshape(rows, 1, heads, -1), None
    if ragged_cache is not None:
        segments = ragged_cache.segments
        ragged_cache.store(layer, key, value)
    assert segments is not None
    return packed_attention(
        module, query, key, value, None, segments=segments, scaling=scaling, sliding_window=sliding_window, **options
    )


# Without a mask function of this name, transformers makes no mask. With one, even if it returns None, each forward pass waits for
# the GPU to find out whether the positions are packed.
AttentionInterface.register(RAGGED, ragged_attention)
