"""What the page shows of each token, in few bytes: a token of a response takes about ten of them, compressed."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from closerlook.core.schemas import CLASSES

PROB_STEPS = 255
"""A probability p is kept as round(255 sqrt(p)): right to 0.4 percentage points, and to 0.04 at p = 1%."""
KL_STEPS = 50
"""A divergence of k nats is kept as round(50 sqrt(k)), at most KL_MOST: right to 0.02 nats at k = 1; 26 nats are the most."""
KL_MOST = 255
TOP_STEPS = 63
"""Of probabilities of the base model's top five, fewer steps: right to 1.6 percentage points, and to 0.16 at p = 1%."""
UNLIKELY = 0.05
"""Of the base model's top five on an unshifted token, those less likely than this are left out."""


def token_columns(
    shift: pa.Table, ids: list[str], texts: list[str], text_of: Callable[[int], str]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Columns of all tokens of the responses `ids`, one response after the other, and `strings`, which `top_ids` counts in.

    `tokens`: how many each response has (0 where `shift` has no row of it, or its places do not fit its text); `start`:
    characters from the token's begin to the next one's; `class`: its index in
    CLASSES; `rank`, `prob`, `kl`; `top`: how many of the base's top five are kept,
    `top_ids` and `top_probs` of all of them: 0 for the token itself and k + 1 for strings[k], the most frequent first. Fewer
    than five: the token itself is left out, whose place is its rank, and whose probability is `prob`.
    """
    place = {id_: row for row, id_ in enumerate(shift["id"].to_pylist())}
    rows = [place.get(id_) for id_ in ids]
    starts = [list(value) if value else [] for value in shift["token_start"].to_pylist()]
    rows = [
        row if row is not None and _fits(starts[row], text) else None for row, text in zip(rows, texts, strict=True)
    ]
    table = shift.take(pa.array([row for row in rows if row is not None], pa.int64()))
    lengths = [np.diff([*starts[row], len(text)]) for row, text in zip(rows, texts, strict=True) if row is not None]
    own, top_ids = _flat(table, "token_ids"), _nested(table, "base_top5_ids")
    rank, prob, top_probs = _flat(table, "base_rank"), _flat(table, "base_prob"), _nested(table, "base_top5_probs")
    known = (top_ids == own[:, None]) & (np.arange(1, top_ids.shape[1] + 1) == rank[:, None])
    # A token that is not of its rank was not the tuned model's first, whose rank it is: then all five stay.
    whole = (rank != 1) | ~known.any(axis=1)
    kept = ~known & ((top_probs >= UNLIKELY) | whole[:, None])
    strings, shown = _numbered(top_ids[kept], np.broadcast_to(own[:, None], top_ids.shape)[kept])
    columns = {
        "tokens": np.array([len(starts[row]) if row is not None else 0 for row in rows], np.int64),
        "start": np.concatenate([np.empty(0, np.int64), *lengths]),
        "class": _classes(table),
        "rank": rank,
        "prob": _roots(prob, PROB_STEPS, PROB_STEPS),
        "kl": _roots(_flat(table, "kl_base_tuned"), KL_STEPS, KL_MOST),
        "top": kept.sum(axis=1),
        "top_ids": shown,
        "top_probs": _roots(top_probs[kept], TOP_STEPS, TOP_STEPS),
    }
    return {"strings": [text_of(int(id_)) for id_ in strings]}, columns


def _classes(table: pa.Table) -> np.ndarray:
    """The index in CLASSES of every token's class."""
    return pc.index_in(pc.list_flatten(table["class"]), pa.array(CLASSES)).to_numpy()


def _roots(values: np.ndarray, steps: int, most: int) -> np.ndarray:
    """`steps` times the square root, rounded, at most `most`."""
    return np.rint(np.clip(steps * np.sqrt(np.clip(values, 0, None)), 0, most)).astype(np.int64)


def _fits(starts: list[int], text: str) -> bool:
    """Whether the places are known (a model without a tokenizer has none) and lie in the text, in order."""
    inside = bool(starts) and starts[0] == 0 and starts[-1] <= len(text)
    return inside and all(a <= b for a, b in pairwise(starts))


def _flat(table: pa.Table, name: str) -> np.ndarray:
    """The entries of a list column, of all rows."""
    return pc.list_flatten(table[name]).to_numpy()


def _nested(table: pa.Table, name: str) -> np.ndarray:
    """The entries of a column of lists of five: [tokens, 5]; a vocabulary of fewer tokens has fewer."""
    inner = pc.list_flatten(table[name]).combine_chunks()
    values = pc.list_flatten(inner).to_numpy(zero_copy_only=False)
    return values.reshape(len(inner), -1 if len(inner) else 5)


def _numbered(ids: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ids, the most frequent first, and for each id its 1-based place among them; 0 where it is the token's own."""
    others = ids != own
    found, place, counts = np.unique(ids[others], return_inverse=True, return_counts=True)
    order = np.lexsort((found, -counts))
    number = np.empty(len(found), np.int64)
    number[order] = np.arange(1, len(found) + 1)
    numbers = np.zeros(len(ids), np.int64)
    numbers[others] = number[place]
    return found[order], numbers
