"""A KV cache in which every row has its own length, so that no prompt is padded and a finished row makes room at once.

Padding is what makes a response depend on its batch: it shifts positions and costs arithmetic. Here prompts are read end
to end in one packed row (closerlook.models.packed), their keys and values are laid into one slot per response, and each
decoding step attends to the first tokens of each slot. The model is told nothing of it: attention alone sees `slots`.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from closerlook.models.packed import packed_attention

SLOTTED = "slotted"
"""Name to load a model with that decodes from `Slots`: `from_pretrained(..., attn_implementation=SLOTTED)`."""

_SPARE = 64
"""Tokens of room that a slot gets beyond what it needs now; it doubles with the slot."""


class Slots:
    """Keys and values of the responses in the making: per layer two tensors (rows, key heads, capacity, width of a head)."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.lengths: list[int] = []
        self.segments: list[int] | None = None
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}

    def read(self, lengths: list[int]) -> None:
        """Announce a packed pass over new prompts of these lengths; they take the rows behind those in use."""
        self.segments = lengths
        self.lengths = self.lengths + lengths

    def step(self) -> Tensor:
        """Announce a pass over one new token per row; returns their positions, (rows in use, 1), int64, on the CPU."""
        self.segments = None
        self._positions = torch.tensor(self.lengths)
        self.lengths = [length + 1 for length in self.lengths]
        self._masks: dict[tuple[int | None, torch.device], Tensor] = {}
        return self._positions[:, None]

    def free(self, row: int) -> None:
        """Give up a row: the last row in use moves into its place."""
        last = len(self.lengths) - 1
        if row != last:
            for tensor in (*self._keys.values(), *self._values.values()):
                tensor[row, :, : self.lengths[last]] = tensor[last, :, : self.lengths[last]]
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()

    def store(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Lay the packed keys and values of new prompts, (1, key heads, sum of lengths, width), into their rows."""
        assert self.segments is not None
        keys, values = self._room(layer, key, value)
        first = len(self.lengths) - len(self.segments)
        pairs = zip(key[0].split(self.segments, dim=1), value[0].split(self.segments, dim=1), strict=True)
        for row, (k, v) in enumerate(pairs, start=first):
            keys[row, :, : k.shape[1]] = k
            values[row, :, : v.shape[1]] = v

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add one token per row, (rows in use, key heads, 1, width); returns all keys and values, up to the longest row."""
        keys, values = self._room(layer, key, value)
        used, longest = len(self.lengths), max(self.lengths)
        positions = self._positions.to(key.device)
        rows = torch.arange(used, device=key.device)
        keys[rows, :, positions] = key[:, :, 0]
        values[rows, :, positions] = value[:, :, 0]
        return keys[:used, :, :longest], values[:used, :, :longest]

    def mask(self, window: int | None, like: Tensor) -> Tensor:
        """What to add to the scores of one step, (rows in use, 1, 1, longest row): 0 for what a row may see, else -inf."""
        key = window, like.device  # layers may lie on several devices
        if key not in self._masks:
            place = torch.arange(max(self.lengths))
            length = torch.tensor(self.lengths)[:, None]
            hidden = place >= length
            if window is not None:
                hidden |= place < length - window
            mask = torch.zeros(hidden.shape, dtype=like.dtype).masked_fill_(hidden, float("-inf"))
            self._masks[key] = mask[:, None, None].to(like.device)
        return self._masks[key]

    def _room(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """The layer's tensors, made or enlarged so that the longest row fits."""
        needed = max(self.lengths)
        for store, like in ((self._keys, key), (self._values, value)):
            old = store.get(layer)
            if old is None or old.shape[2] < needed:
                capacity = needed + (_SPARE if old is None else max(_SPARE, needed // 2))
                new = like.new_zeros(
                    self.rows, like.shape[1], capacity, like.shape[3]
                )  # zeros: 0 x stale NaN would be NaN
                if old is not None:
                    new[:, :, : old.shape[2]] = old
                store[layer] = new
        return self._keys[layer], self._values[layer]


def slotted_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    slots: Slots | None = None,
    segments: list[int] | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention of a packed pass over prompts (fills the slots) or of one step (reads them); without slots, packed attention.

    query (rows, heads, T, d), key and value (rows, key heads, T, d); returns (rows, T, heads, d).
    """
    layer = cast(int, module.layer_idx)
    if slots is not None and slots.segments is None:
        keys, values = slots.append(layer, key, value)
        rows, heads, _, width = query.shape
        # With one query per row, the heads that share a key head are its queries: no key is ever repeated.
        grouped = query.reshape(rows, keys.shape[1], -1, width)
        mask = slots.mask(sliding_window, query)
        output = scaled_dot_product_attention(grouped, keys, values, attn_mask=mask, scale=scaling)
        return output.reshape(rows, 1, heads, -1), None
    if slots is not None:
        segments = slots.segments
        slots.store(layer, key, value)
    assert segments is not None
    return packed_attention(
        module, query, key, value, None, segments=segments, scaling=scaling, sliding_window=sliding_window, **options
    )


AttentionInterface.register(SLOTTED, slotted_attention)
AttentionMaskInterface.register(SLOTTED, lambda *args, **kwargs: None)
