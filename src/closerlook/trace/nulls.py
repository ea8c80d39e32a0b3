"""What borrowing is compared with: other instances, and other phrases."""

from collections.abc import Sequence

import numpy as np

from closerlook.trace.passages import Passages
from closerlook.trace.phrases import Phrases

DRAWN = 5
"""Matched phrases per phrase."""
PERMUTATIONS = 3
"""Other instructions per instruction."""
NEAREST = 20
"""A matched phrase is drawn from about this many phrases of the nearest frequency."""


def derangements(n: int, seed: int, times: int = PERMUTATIONS) -> np.ndarray:
    """`times` permutations of range(n) that differ from the identity and from each other everywhere: [times, n] int64.

    There are at most n - 1 of them, so a small n has fewer than `times`.
    """
    order = np.random.default_rng([seed, n]).permutation(n)
    times = min(times, max(0, n - 1))
    other = np.empty((times, n), dtype=np.int64)
    for k in range(times):
        other[k, order] = np.roll(order, k + 1)
    return other


def limit_for_words(sizes: np.ndarray, words: int) -> int:
    """Number of first instances whose total of words is nearest to `words`. sizes: words per instance, in the dataset's order."""
    if not len(sizes):
        return 0
    return int(np.argmin(np.abs(np.cumsum(sizes, dtype=np.int64) - words))) + 1


def zipf_frequencies(words: Sequence[str]) -> np.ndarray:
    """Zipf frequency of each English word (wordfreq: log10 of occurrences per billion words), 0 for unknown words: float64."""
    from wordfreq import zipf_frequency  # heavy, and tables that need `derangements` alone import this module

    return np.array([zipf_frequency(word, "en") for word in words], dtype=np.float64)


def matched_phrases(phrases: Phrases, pool: np.ndarray, passages: Passages, seed: int) -> tuple[Phrases, np.ndarray]:
    """DRAWN phrases for each phrase, of the same length and with about as rare a rarest word, from other responses.

    pool: bool [words], the words that they may start with. Also returns [drawn], the index of the phrase that each was drawn for.
    With a pool of unshifted words, this is how often what the base model would have said anyway occurs. A phrase has fewer
    matches, or none, if the pool has no phrase of its length outside its own response.
    """
    generator = np.random.default_rng(seed)
    frequency = zipf_frequencies([word.text for word in passages.words])
    drawn = [
        _match_length(int(n), phrases, np.flatnonzero(phrases.words == n), pool, frequency, passages, generator)
        for n in np.unique(phrases.words)
    ]
    rows, first = np.concatenate([np.zeros((2, 0), dtype=np.int64), *drawn], axis=1)
    return Phrases(first, phrases.words[rows], phrases.ngram[rows], phrases.response[rows]), rows


def _match_length(
    n: int,
    phrases: Phrases,
    rows: np.ndarray,
    pool: np.ndarray,
    frequency: np.ndarray,
    passages: Passages,
    generator: np.random.Generator,
) -> np.ndarray:
    """Matches for the phrases in `rows`, all of n words: [2, drawn], the row drawn for and the first word drawn."""
    candidates = np.flatnonzero(pool & (passages.remaining >= n))
    if not len(candidates):
        return np.zeros((2, 0), dtype=np.int64)
    rarest = np.lib.stride_tricks.sliding_window_view(frequency, n).min(axis=1)
    candidates = generator.permutation(candidates)  # so that equally frequent candidates are in random order
    candidates = candidates[np.argsort(rarest[candidates], kind="stable")]
    targets = np.repeat(rows, DRAWN)
    wanted = rarest[phrases.first[targets]]
    low, high = (np.searchsorted(rarest[candidates], wanted, side=side) for side in ("left", "right"))
    first = np.full(len(targets), -1)
    for _ in range(10):  # a draw from the phrase's own response is repeated
        missing = np.flatnonzero(first < 0)
        among_equals = generator.integers(low[missing], high[missing] + 1)
        position = among_equals + generator.integers(-NEAREST // 2, NEAREST // 2, len(missing))
        draws = candidates[np.clip(position, 0, len(candidates) - 1)]
        foreign = passages.text_of_word[draws] != phrases.response[targets[missing]]
        first[missing[foreign]] = draws[foreign]
    return np.stack([targets, first])[:, first >= 0]
