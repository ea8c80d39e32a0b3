"""How long the runs of a text's words are that a dataset holds: matching statistics, over words."""

from collections.abc import Callable, Sequence

import numpy as np

from closerlook.text.words import rendered

Occurs = Callable[[Sequence[str]], np.ndarray]
"""Whether each of some phrases (rendered words) is there: bool."""


def longest_runs(words: Sequence[str], left: np.ndarray, occurs: Occurs, most: int) -> np.ndarray:
    """For each word, how many words from it on are there together: [words] int64, 0 where not even the word is.

    left: [words], the words that its text has from it on; no run goes beyond, or is longer than `most`.
    A run is there only if every shorter one from the same word is, so lengths are doubled and then halved, all words at once:
    about four queries a word, whatever the number of n-gram lengths that are asked of the result.
    """
    bound = np.minimum(left, most)
    there, absent = np.zeros_like(bound), bound + 1  # longest known to be there, shortest taken not to be
    while len(open_ := np.flatnonzero(absent - there > 1)):
        low, high = there[open_], absent[open_]
        failed = high <= bound[open_]
        tried = np.where(failed, (low + high) // 2, np.minimum(np.maximum(1, 2 * low), bound[open_]))
        found = lookup(
            occurs, [rendered(words[i : i + n]) for i, n in zip(open_.tolist(), tried.tolist(), strict=True)]
        )
        there[open_] = np.where(found, tried, low)
        absent[open_] = np.where(found, high, tried)
    return there


def lookup(occurs: Occurs, phrases: Sequence[str]) -> np.ndarray:
    """`occurs` of phrases of which many are the same: each is asked for once."""
    place: dict[str, int] = {}
    rows = np.array([place.setdefault(phrase, len(place)) for phrase in phrases], dtype=np.int64)
    return np.asarray(occurs(list(place)))[rows] if place else np.zeros(0, dtype=bool)
