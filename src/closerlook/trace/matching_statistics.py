"""Matching statistics over words: the longest run of words, from each word of a text on, that a dataset contains."""

from collections.abc import Callable, Sequence

import numpy as np

from closerlook.text.words import join_words

Occurs = Callable[[Sequence[str]], np.ndarray]
"""Returns whether each phrase (joined words) occurs: bool."""


def match_lengths(words: Sequence[str], remaining: np.ndarray, occurs: Occurs, limit: int) -> np.ndarray:
    """The length in words of the longest run from each word on that occurs: [words] int64, 0 if not even the word occurs.

    remaining: [words], the number of words of the text from this one on. No run is longer than that, or than `limit`.
    A run occurs only if every shorter run from the same word does. So lengths are doubled and then bisected, for all words at
    once: about four queries per word, for any number of n-gram lengths that are read from the result.
    """
    bound = np.minimum(remaining, limit)
    low, high = np.zeros_like(bound), bound + 1  # longest length known to occur, shortest known (or taken) not to
    while len(undecided := np.flatnonzero(high - low > 1)):
        known, failed_at = low[undecided], high[undecided]
        failed = failed_at <= bound[undecided]
        doubled = np.minimum(np.maximum(1, 2 * known), bound[undecided])
        tried = np.where(failed, (known + failed_at) // 2, doubled)
        phrases = [join_words(words[i : i + n]) for i, n in zip(undecided.tolist(), tried.tolist(), strict=True)]
        hits = look_up(occurs, phrases)
        low[undecided] = np.where(hits, tried, known)
        high[undecided] = np.where(hits, failed_at, tried)
    return low


def look_up(occurs: Occurs, phrases: Sequence[str]) -> np.ndarray:
    """`occurs` of many phrases with duplicates: each distinct phrase is looked up once."""
    number: dict[str, int] = {}
    rows = np.array([number.setdefault(phrase, len(number)) for phrase in phrases], dtype=np.int64)
    return np.asarray(occurs(list(number)))[rows] if number else np.zeros(0, dtype=bool)
