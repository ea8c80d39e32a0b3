"""Chance levels of borrowing: what would be found of phrases that were not borrowed, or not from there."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from wordfreq import zipf_frequency

from closerlook.trace.passages import Passages
from closerlook.trace.phrases import Phrases

DRAWN = 5
"""Matched phrases per phrase."""
PERMUTATIONS = 3
"""Other instructions per instruction."""
NEAREST = 20
"""A matched phrase is drawn from about that many of the most alike in frequency."""
LANGUAGE = "en"


def deal(n: int, seed: int, times: int = PERMUTATIONS) -> np.ndarray:
    """Another instruction for each of n, never itself, `times` different ones: [times, n]; fewer where n is small."""
    order = np.random.default_rng([seed, n]).permutation(n)
    times = min(times, max(0, n - 1))
    other = np.empty((times, n), dtype=np.int64)
    for k in range(times):
        other[k, order] = np.roll(order, k + 1)
    return other


def limit_of_equal_size(sizes: np.ndarray, words: int) -> int:
    """How many first instances of a dataset hold nearest to so many words. sizes: words per instance, in the dataset's order."""
    if not len(sizes):
        return 0
    return int(np.argmin(np.abs(np.cumsum(sizes, dtype=np.int64) - words))) + 1


def rarity(words: Sequence[str]) -> np.ndarray:
    """Zipf frequency of each word in English (wordfreq: log10 of occurrences per billion words), 0 for unheard ones: float64."""
    return np.array([_zipf(word) for word in words], dtype=np.float64)


@lru_cache(maxsize=1 << 18)
def _zipf(word: str) -> float:
    return zipf_frequency(word, LANGUAGE)


def matched(phrases: Phrases, pool: np.ndarray, passages: Passages, seed: int) -> tuple[Phrases, np.ndarray]:
    """DRAWN phrases for each of `phrases`, as long and with about as rare a rarest word, from responses to other prompts.

    pool: bool [words], which words they may begin with. Also returns [drawn], the place in `phrases` that each was drawn for.
    With a pool of unshifted words this is the level of what the base model would have begun to say anyway, elsewhere.
    A phrase has fewer, or none, where the pool holds nothing as long outside its own response.
    """
    generator = np.random.default_rng(seed)
    frequency = rarity([word.text for word in passages.words])
    drawn = [
        _matched_of_length(int(n), phrases, np.flatnonzero(phrases.words == n), pool, frequency, passages, generator)
        for n in np.unique(phrases.words)
    ]
    rows, first = np.concatenate([np.zeros((2, 0), dtype=np.int64), *drawn], axis=1)
    return Phrases(first, phrases.words[rows], phrases.ngram[rows], phrases.response[rows]), rows


def _matched_of_length(
    n: int,
    phrases: Phrases,
    rows: np.ndarray,
    pool: np.ndarray,
    frequency: np.ndarray,
    passages: Passages,
    generator: np.random.Generator,
) -> np.ndarray:
    """For the phrases in `rows`, all of n words: [2, drawn], the row drawn for and the first word drawn."""
    candidates = np.flatnonzero(pool & (passages.left >= n))
    if not len(candidates):
        return np.zeros((2, 0), dtype=np.int64)
    rarest = np.lib.stride_tricks.sliding_window_view(frequency, n).min(axis=1)
    candidates = generator.permutation(candidates)  # of equals none comes first
    candidates = candidates[np.argsort(rarest[candidates], kind="stable")]
    targets = np.repeat(rows, DRAWN)
    wanted = rarest[phrases.first[targets]]
    low, high = (np.searchsorted(rarest[candidates], wanted, side=side) for side in ("left", "right"))
    first = np.full(len(targets), -1)
    for _ in range(10):  # a draw from the phrase's own response is drawn again
        open_ = np.flatnonzero(first < 0)
        among_equals = generator.integers(low[open_], high[open_] + 1)
        place = among_equals + generator.integers(-NEAREST // 2, NEAREST // 2, len(open_))
        found = candidates[np.clip(place, 0, len(candidates) - 1)]
        foreign = passages.owner[found] != phrases.response[targets[open_]]
        first[open_[foreign]] = found[foreign]
    return np.stack([targets, first])[:, first >= 0]
