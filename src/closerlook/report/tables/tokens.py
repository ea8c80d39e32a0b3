"""The most frequent tokens at shifted and at marginal positions (Figure 12)."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import Tokens, tokenizer_of
from closerlook.report.tables.table import IDENTITY, Files, Measured, Part, Table
from closerlook.stats.bootstrap import Estimate
from closerlook.stats.proportions import proportions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST = 125


def measure_top_tokens(shift: Path, model: Path) -> Iterator[Measured]:
    """Count of each of the most frequent tokens, and its share of the positions of its class.

    Equally frequent tokens are ordered by id. A class without positions has one row: count 0, no share.
    """
    tokens = Tokens(shift, ["token_ids", "class"])
    ids, classes = tokens["token_ids"].astype(np.int64), tokens["class"]
    for name in ("shifted", "marginal"):
        inside = np.flatnonzero(classes == name)
        vocabulary, index, counts = np.unique(ids[inside], return_inverse=True, return_counts=True)
        if not len(vocabulary):
            yield {"class": name}, "count", Estimate(0.0, n=0, n_null=tokens.responses)
            yield {"class": name}, "share", Estimate(None, n=0, n_null=tokens.responses)
            continue
        most = np.lexsort((vocabulary, -counts))[:MOST]
        column = np.full(len(vocabulary), len(most))  # all other tokens share the last column
        column[most] = np.arange(len(most))
        positions = np.zeros((tokens.responses, len(most) + 1))
        np.add.at(positions, (tokens.owner[inside], column[index]), 1)
        shares = proportions(positions[:, :-1], positions.sum(axis=1, keepdims=True))
        for rank, (id_, count, share) in enumerate(zip(vocabulary[most], counts[most], shares, strict=True), 1):
            keys = {"class": name, "rank": rank, "token": text_of(tokenizer_of(model), int(id_))}
            yield keys, "count", Estimate(float(count), n=share.n, n_null=share.n_null)
            yield keys, "share", share


def text_of(tokenizer: "PreTrainedTokenizerBase", id_: int) -> str:
    """The text that a token adds, with its leading space, which decoding it alone may drop.

    Pieces of characters and control characters are given as in the vocabulary.
    """
    once, twice = (str(tokenizer.decode([id_] * n, clean_up_tokenization_spaces=False)) for n in (1, 2))
    text = twice.removeprefix(once)
    foreign = any(unicodedata.category(c) in ("Cc", "Cf", "Co", "Cn", "Cs") and c not in "\t\n\r" for c in text)
    if not text or foreign or "\ufffd" in text or not twice.startswith(once):
        return str(tokenizer.convert_ids_to_tokens(id_))
    return text


TOP_TOKENS = Table(
    name="top_shifted_tokens",
    title="Most frequent tokens at shifted and marginal positions",
    caption=(
        "One row per cell and class: the most frequent response tokens at shifted or at marginal positions (Figure 12 "
        "of the paper). The number after a token is its share of the positions of that class."
    ),
    metrics=metrics.TOKENS,
    keys=("class", "rank", "token"),
    parts=(
        Part(
            IDENTITY,
            (Files.SHIFT, Files.MODEL),
            measure_top_tokens,
            tuple(metrics.TOKENS),
            keys={"class": ("shifted", "marginal")},
        ),
    ),
)
