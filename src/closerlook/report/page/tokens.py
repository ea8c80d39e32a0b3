"""The tokens of a cell's responses as columns of small integers: about ten bytes per token, compressed."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from closerlook.core.schemas import CLASSES

PROB_STEPS = 255
"""A probability p is stored as round(255 sqrt(p)): right to 0.4 percentage points, and to 0.04 at p = 1%."""
KL_STEPS = 50
"""A divergence of k nats is stored as round(50 sqrt(k)), at most KL_MOST (26 nats): right to 0.02 nats at k = 1."""
KL_MOST = 255
TOP_STEPS = 63
"""Probabilities of the base model's top five have fewer steps: right to 1.6 percentage points, and to 0.16 at p = 1%."""
UNLIKELY = 0.05
"""Of the base model's top five on an unshifted token, those below this probability are left out."""


def token_columns(
    shift: pa.Table, ids: list[str], texts: list[str], text_of: Callable[[int], str]
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Strings, and columns of the tokens of the responses `ids`, one response after the other.

    `tokens`: how many each response has; 0 if `shift` has no row of it, or the tokens' positions do not fit its text.
    `start`: characters from where the token begins to where the next one does. `class`: index in CLASSES.
    `rank`, `prob`, `kl`: of the token. `top`: how many of the base model's top five are stored.
    `top_ids`, `top_probs`: of those. An id is 0 for the token itself and k + 1 for strings[k], the most frequent first. If fewer
    than five are stored, the token itself is not among them: `rank` is its place, and `prob` its probability.
    """
    index = {id_: row for row, id_ in enumerate(shift["id"].to_pylist())}
    starts = [list(value) if value else [] for value in shift["token_start"].to_pylist()]
    rows = [
        row if row is not None and _positions_fit(starts[row], text) else None
        for row, text in zip(map(index.get, ids), texts, strict=True)
    ]
    table = shift.take(pa.array([row for row in rows if row is not None], pa.int64()))
    lengths = [np.diff([*starts[row], len(text)]) for row, text in zip(rows, texts, strict=True) if row is not None]
    own, top_ids = _flatten(table, "token_ids"), _flatten_lists(table, "base_top5_ids")
    rank, prob, top_probs = (
        _flatten(table, "base_rank"),
        _flatten(table, "base_prob"),
        _flatten_lists(table, "base_top5_probs"),
    )
    is_own = (top_ids == own[:, None]) & (np.arange(1, top_ids.shape[1] + 1) == rank[:, None])
    # The rank is that of the tuned model's first choice. Where the token is another one, all five are stored.
    store_all = (rank != 1) | ~is_own.any(axis=1)
    stored = ~is_own & ((top_probs >= UNLIKELY) | store_all[:, None])
    strings, numbers = _number_by_frequency(top_ids[stored], np.broadcast_to(own[:, None], top_ids.shape)[stored])
    columns = {
        "tokens": np.array([len(starts[row]) if row is not None else 0 for row in rows], np.int64),
        "start": np.concatenate([np.empty(0, np.int64), *lengths]),
        "class": pc.index_in(pc.list_flatten(table["class"]), pa.array(CLASSES)).to_numpy(),
        "rank": rank,
        "prob": _root_steps(prob, PROB_STEPS, PROB_STEPS),
        "kl": _root_steps(_flatten(table, "kl_base_tuned"), KL_STEPS, KL_MOST),
        "top": stored.sum(axis=1),
        "top_ids": numbers,
        "top_probs": _root_steps(top_probs[stored], TOP_STEPS, TOP_STEPS),
    }
    return [text_of(int(id_)) for id_ in strings], columns


def _positions_fit(starts: list[int], text: str) -> bool:
    """Whether the positions are known (a model without a tokenizer has none), ordered, and inside the text."""
    inside = bool(starts) and starts[0] == 0 and starts[-1] <= len(text)
    return inside and all(a <= b for a, b in pairwise(starts))


def _root_steps(values: np.ndarray, steps: int, most: int) -> np.ndarray:
    """`steps` times the square root, rounded, at most `most`."""
    return np.rint(np.clip(steps * np.sqrt(np.clip(values, 0, None)), 0, most)).astype(np.int64)


def _flatten(table: pa.Table, name: str) -> np.ndarray:
    """The entries of a list column over all rows."""
    return pc.list_flatten(table[name]).to_numpy()


def _flatten_lists(table: pa.Table, name: str) -> np.ndarray:
    """The entries of a column of lists of five: [tokens, 5]; fewer than five for a smaller vocabulary."""
    inner = pc.list_flatten(table[name]).combine_chunks()
    values = pc.list_flatten(inner).to_numpy(zero_copy_only=False)
    return values.reshape(len(inner), -1 if len(inner) else 5)


def _number_by_frequency(ids: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ids, the most frequent first, and for each id its number among them from 1; 0 where it is the token's own."""
    others = ids != own
    distinct, index, counts = np.unique(ids[others], return_inverse=True, return_counts=True)
    order = np.lexsort((distinct, -counts))
    number = np.empty(len(distinct), np.int64)
    number[order] = np.arange(1, len(distinct) + 1)
    numbers = np.zeros(len(ids), np.int64)
    numbers[others] = number[index]
    return distinct[order], numbers
