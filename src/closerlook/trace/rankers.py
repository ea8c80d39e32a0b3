"""Which instances a span can have come from by the words that they share with it, and where a span stands (section 5)."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from closerlook.text.sentences import sentence_begins
from closerlook.text.words import rendered
from closerlook.trace.indexed_dataset import Searched
from closerlook.trace.passages import Passages

DEPTH = 100
"""Instances per ranking that are fused."""
CONTEXT = 8
"""Words of its sentence, on either side of a span, in whose company the lexical ranker looks for it."""
LONGEST_RUN = 256
"""Longest run of words that is looked for."""
WINDOWS = 500
"""Runs around one span that are looked for, at most."""


class Place(NamedTuple):
    """Where a span stands: its response, its characters, its words and those of its sentences, as places in Passages.words."""

    response: int
    start: int
    end: int
    words: tuple[int, int]
    sentence: tuple[int, int]
    context: str
    """Text of its sentences."""


def places(passages: Passages, spans: Sequence[tuple[int, int, int]]) -> Iterator[Place]:
    """The place of each span (text, start, end). Where it goes over several sentences, all of them are its context."""
    begins = {text: [0, *sentence_begins(passages.texts[text])] for text in {text for text, _, _ in spans}}
    for text, start, end in spans:
        edges = [*begins[text], len(passages.texts[text])]
        low = edges[max(0, bisect_right(begins[text], start) - 1)]
        high = edges[bisect_right(begins[text], max(start, end - 1))]
        words = passages.within(text, start, end)
        yield Place(text, start, end, words, passages.within(text, low, high), passages.texts[text][low:high])


def lexical(place: Place, passages: Passages, runs: np.ndarray, dataset: Searched, order: np.ndarray) -> list[int]:
    """Instances that hold most of the span's words in one run, and of these the longest run around them, first.

    So those that hold the span whole come first, and of them those that hold it in the same company. Instances with equally long
    runs come in `order` (rows, best first), then in the dataset's. runs: of every word, as `longest_runs` gives them.
    """
    found: dict[int, None] = {}
    for first, last in _windows(place, runs):
        rows = dataset.index.words.documents(rendered(w.text for w in passages.words[first:last]), dataset.limit)
        found |= dict.fromkeys(in_order(rows, order, DEPTH))
        if len(found) >= DEPTH:
            break
    return list(found)[:DEPTH]


def _windows(place: Place, runs: np.ndarray) -> list[tuple[int, int]]:
    """Runs of words that the dataset holds and that touch the span: by words of the span, then by words."""
    (a, b), (low, high) = place.words, place.sentence
    low, high = max(low, a - CONTEXT), min(high, b + CONTEXT)
    windows = {
        (min(last, b) - max(first, a), last - first, -first)
        for first in range(low, b)
        for last in range(max(first, a) + 1, min(high, first + int(runs[first])) + 1)
    }
    return [(-first, n - first) for _, n, first in sorted(windows, reverse=True)[:WINDOWS]]


def in_order(rows: np.ndarray, order: np.ndarray, most: int) -> list[int]:
    """The first `most` of some rows (ascending), those in `order` first and as they stand there, then the others as they come."""
    place = np.minimum(np.searchsorted(rows, order), len(rows) - 1) if len(rows) else np.zeros(0, dtype=np.int64)
    first = order[rows[place] == order][:most] if len(rows) else []
    return list(dict.fromkeys([*map(int, first), *map(int, rows[: most + len(first)])]))[:most]
