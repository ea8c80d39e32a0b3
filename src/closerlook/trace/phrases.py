"""The phrases that are looked up: n-grams that start with words of a class, and n-grams of spans."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from closerlook.trace.passages import Passages

LONGEST = 8
NGRAMS = range(1, LONGEST + 1)
WHOLE = 0
"""The `ngram` of a whole span."""


class Phrases(NamedTuple):
    """Runs of words, [phrases] int64 each: the index of the first word in Passages.words, the number of words, the n-gram length
    under which the phrase is counted, and the response for which it is counted."""

    first: np.ndarray
    words: np.ndarray
    ngram: np.ndarray
    response: np.ndarray

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[int, int, int, int]]) -> "Phrases":
        """Phrases from rows of the four numbers."""
        return cls(*np.array(rows, dtype=np.int64).reshape(-1, 4).T)


def ngrams_starting_with(passages: Passages, chosen: np.ndarray) -> Phrases:
    """n-grams of 1 to 8 words: each chosen word (bool [words]) with the words that follow it in its response."""
    starts = [np.flatnonzero(chosen & (passages.remaining >= n)) for n in NGRAMS]
    lengths = np.repeat(NGRAMS, [len(words) for words in starts])
    first = np.concatenate(starts)
    return Phrases(first, lengths, lengths, passages.text_of_word[first])


def span_ngrams(passages: Passages, spans: Iterable[tuple[int, int, int]]) -> Phrases:
    """n-grams of each span (text, start, end), and the whole span (n = 0).

    If the span has n words or more, its n-grams lie within it. If it has fewer, they are the n-grams of the response that contain
    the whole span: a span of one word, which any large dataset contains, is so looked up in its context too. A span without
    words has no phrases.
    """
    rows: list[tuple[int, int, int, int]] = []
    for text, start, end in spans:
        first, last = passages.word_range(text, start, end)
        if first == last:
            continue
        rows.append((first, last - first, WHOLE, text))
        low, high = int(passages.first[text]), int(passages.first[text + 1])
        for n in NGRAMS:
            inside = n <= last - first
            starts = range(first, last - n + 1) if inside else range(max(low, last - n), min(first, high - n) + 1)
            rows += [(word, n, n, text) for word in starts]
    return Phrases.from_rows(rows)


def is_found(phrases: Phrases, lengths: np.ndarray) -> np.ndarray:
    """Whether each phrase occurs, given the match length from each word on (`match_lengths`): bool [phrases]."""
    return lengths[phrases.first] >= phrases.words


def tally(phrases: Phrases, found: np.ndarray, responses: int) -> np.ndarray:
    """Number of phrases found and looked up, by response and n-gram length: [2, responses, 1 + LONGEST] int64."""
    cell = phrases.response * (1 + LONGEST) + phrases.ngram
    size = responses * (1 + LONGEST)
    counts = [np.bincount(cell[found], minlength=size), np.bincount(cell, minlength=size)]
    return np.stack(counts).reshape(2, responses, 1 + LONGEST)
