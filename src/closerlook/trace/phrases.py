"""Which phrases are looked for: n-grams that begin with words of a class, and n-grams of spans."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from closerlook.trace.passages import Passages

LONGEST = 8
NGRAMS = range(1, LONGEST + 1)
WHOLE = 0
"""The `ngram` of a span taken whole."""


class Phrases(NamedTuple):
    """Runs of words, [phrases] int64 each: the first word's place in Passages.words, how many words, the n-gram length under
    which it is counted, and the response for which it is."""

    first: np.ndarray
    words: np.ndarray
    ngram: np.ndarray
    response: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, int, int]]) -> "Phrases":
        """From rows of the four numbers."""
        return cls(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)


def beginning_with(passages: Passages, chosen: np.ndarray) -> Phrases:
    """n-grams of 1 to 8 words, each a chosen word (bool [words]) and those that follow it in its response."""
    firsts = [np.flatnonzero(chosen & (passages.left >= n)) for n in NGRAMS]
    lengths = np.repeat(NGRAMS, [len(some) for some in firsts])
    first = np.concatenate(firsts)
    return Phrases(first, lengths, lengths, passages.owner[first])


def of_spans(passages: Passages, spans: Iterable[tuple[int, int, int]]) -> Phrases:
    """n-grams of spans (text, start, end), each span for itself, and each whole (n = 0).

    Where the span has n words or more: those within it. Where it has fewer: those of its response that hold all of it, so that
    a span of one word, which any large dataset has, is looked for in its company too. A span without words has none.
    """
    rows: list[tuple[int, int, int, int]] = []
    for text, start, end in spans:
        a, b = passages.within(text, start, end)
        if a == b:
            continue
        rows.append((a, b - a, WHOLE, text))
        low, high = int(passages.first[text]), int(passages.first[text + 1])
        for n in NGRAMS:
            begins = range(a, b - n + 1) if n <= b - a else range(max(low, b - n), min(a, high - n) + 1)
            rows += [(begin, n, n, text) for begin in begins]
    return Phrases.of(rows)


def found_by(phrases: Phrases, runs: np.ndarray) -> np.ndarray:
    """Whether each phrase is there, given the longest run that is from each word on: bool [phrases]."""
    return runs[phrases.first] >= phrases.words


def tally(phrases: Phrases, found: np.ndarray, responses: int) -> np.ndarray:
    """Phrases found and looked for, by response and n-gram length: [2, responses, 1 + LONGEST] int64."""
    cell = phrases.response * (1 + LONGEST) + phrases.ngram
    size = responses * (1 + LONGEST)
    counts = [np.bincount(cell[found], minlength=size), np.bincount(cell, minlength=size)]
    return np.stack(counts).reshape(2, responses, 1 + LONGEST)
