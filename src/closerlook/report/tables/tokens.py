"""The tokens that tuning brought: most frequent at shifted and at marginal positions (Figure 12)."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from closerlook.report.tables import metrics
from closerlook.report.tables.lists import Tokens
from closerlook.report.tables.table import IDENTITY, MODEL_FOLDER, SHIFT_FILE, Measured, Part, Table
from closerlook.report.tables.tokenizer import tokenizer_of
from closerlook.stats.bootstrap import Estimate, ratios

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST = 125


def measure_top_tokens(shift: Path, model: Path) -> Iterator[Measured]:
    """Count of each of the most frequent tokens, and its share of the class's positions (interval over responses).

    Equally frequent tokens stand in the order of their ids. A class without positions has one row: count 0, no share.
    """
    tokens = Tokens(shift, ["token_ids", "class"])
    ids, classes = tokens["token_ids"].astype(np.int64), tokens["class"]
    for name in ("shifted", "marginal"):
        inside = np.flatnonzero(classes == name)
        found, place, counts = np.unique(ids[inside], return_inverse=True, return_counts=True)
        if not len(found):
            yield {"class": name}, "count", Estimate(0.0, n=0, n_null=tokens.responses)
            yield {"class": name}, "share", Estimate(None, n=0, n_null=tokens.responses)
            continue
        most = np.lexsort((found, -counts))[:MOST]
        column = np.full(len(found), len(most))  # the rest of the tokens share a last column
        column[most] = np.arange(len(most))
        positions = np.zeros((tokens.responses, len(most) + 1))
        np.add.at(positions, (tokens.owner[inside], column[place]), 1)
        shares = ratios(positions[:, :-1], positions.sum(axis=1, keepdims=True))
        for rank, (id_, count, share) in enumerate(zip(found[most], counts[most], shares, strict=True), 1):
            keys = {"class": name, "rank": rank, "token": text_of(tokenizer_of(model), int(id_))}
            yield keys, "count", Estimate(float(count), n=share.n, n_null=share.n_null)
            yield keys, "share", share


def text_of(tokenizer: "PreTrainedTokenizerBase", id_: int) -> str:
    """What a token adds to a text, its leading space included (which decoding it alone may drop).

    Pieces of a character and control characters are no text: they are given as the vocabulary writes them.
    """
    once, twice = (str(tokenizer.decode([id_] * n, clean_up_tokenization_spaces=False)) for n in (1, 2))
    text = twice.removeprefix(once)
    foreign = any(unicodedata.category(c) in ("Cc", "Cf", "Co", "Cn", "Cs") and c not in "\t\n\r" for c in text)
    if not text or foreign or "\ufffd" in text or not twice.startswith(once):
        return str(tokenizer.convert_ids_to_tokens(id_))
    return text


TOP_TOKENS = Table(
    title="Most frequent tokens at shifted and marginal positions",
    caption=(
        "The up to 125 most frequent response tokens at shifted (base rank above 3) and at marginal (2 or 3) positions "
        "(Figure 12), with their number and their share of that class's positions. A token that is no text by itself "
        "(a piece of a character, a control) is given as the tokenizer's vocabulary writes it."
    ),
    metrics=metrics.TOKENS,
    keys=("class", "rank", "token"),
    parts=(
        Part(
            IDENTITY,
            (SHIFT_FILE, MODEL_FOLDER),
            measure_top_tokens,
            tuple(metrics.TOKENS),
            keys={"class": ("shifted", "marginal")},
        ),
    ),
)
