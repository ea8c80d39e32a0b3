"""Candidate instances for a span: the lexical ranker, and the fusion of several rankings (section 5)."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from closerlook.text.sentences import sentence_begins
from closerlook.text.words import join_words
from closerlook.trace.indexed_dataset import IndexedDataset
from closerlook.trace.passages import Passages

DEPTH = 100
"""Instances per ranking that are fused."""
FUSION = 60
"""Constant of reciprocal rank fusion, as of Cormack et al. (2009)."""
CONTEXT = 8
"""Words of the sentence, on either side of a span, that the lexical ranker may add to it."""
LONGEST_RUN = 256
"""Longest run of words that is looked up."""
WINDOWS = 500
"""Largest number of runs around one span that are looked up."""


class LocatedSpan(NamedTuple):
    """A span with its response, its characters, its words and those of its sentences, as indices into Passages.words."""

    response: int
    start: int
    end: int
    words: tuple[int, int]
    sentence: tuple[int, int]
    context: str
    """Text of its sentences."""


def locate_spans(passages: Passages, spans: Sequence[tuple[int, int, int]]) -> Iterator[LocatedSpan]:
    """Each span (text, start, end) with its words and sentences. The context of a span over several sentences is all of them."""
    begins = {text: [0, *sentence_begins(passages.texts[text])] for text in {text for text, _, _ in spans}}
    for text, start, end in spans:
        edges = [*begins[text], len(passages.texts[text])]
        low = edges[max(0, bisect_right(begins[text], start) - 1)]
        high = edges[bisect_right(begins[text], max(start, end - 1))]
        words, sentence = passages.word_range(text, start, end), passages.word_range(text, low, high)
        yield LocatedSpan(text, start, end, words, sentence, passages.texts[text][low:high])


def rank_lexically(
    span: LocatedSpan, passages: Passages, lengths: np.ndarray, dataset: IndexedDataset, order: np.ndarray
) -> list[int]:
    """Rows of instances: first those with most of the span's words in one run, and of these those with the longest run around it.

    So instances that contain the whole span come first, and among them those that contain more of its context. Ties are broken by
    `order` (rows, best first), then by row. lengths: of every word, as `match_lengths` returns them.
    """
    ranking: dict[int, None] = {}
    for first, last in _windows(span, lengths):
        phrase = join_words(word.text for word in passages.words[first:last])
        rows = dataset.index.words.documents(phrase, dataset.limit)
        ranking |= dict.fromkeys(reorder(rows, order))
        if len(ranking) >= DEPTH:
            break
    return list(ranking)[:DEPTH]


def _windows(span: LocatedSpan, lengths: np.ndarray) -> list[tuple[int, int]]:
    """Runs of words [first, last) that overlap the span and occur in the dataset: by words of the span, then by length."""
    (a, b), (low, high) = span.words, span.sentence
    low, high = max(low, a - CONTEXT), min(high, b + CONTEXT)
    windows = {
        (min(last, b) - max(first, a), last - first, -first)
        for first in range(low, b)
        for last in range(max(first, a) + 1, min(high, first + int(lengths[first])) + 1)
    }
    return [(-first, n - first) for _, n, first in sorted(windows, reverse=True)[:WINDOWS]]


def restrict(order: np.ndarray, rows: np.ndarray, limit: int = DEPTH) -> list[int]:
    """The first `limit` of `order` that are in `rows` (ascending)."""
    position = np.searchsorted(rows, order)
    return order[np.append(rows, -1)[position] == order][:limit].tolist()


def reorder(rows: np.ndarray, order: np.ndarray, limit: int = DEPTH) -> list[int]:
    """The first `limit` of `rows` (ascending): rows in `order` first, in that order, then the others as they are."""
    ordered = restrict(order, rows, limit)
    return list(dict.fromkeys([*ordered, *rows[: limit + len(ordered)].tolist()]))[:limit]


def fuse(rankings: Sequence[Sequence[int]]) -> dict[int, float]:
    """Reciprocal rank fusion (Cormack et al. 2009): every ranking adds 1 / (60 + rank) to its rows, with ranks from 1.

    rankings: rows, best first. A ranking need not contain all rows; a row that it repeats counts at its first position.
    Returns all rows with their sums, best first. Ties are broken by the best rank in any ranking, then by row.
    """
    scores: defaultdict[int, float] = defaultdict(float)
    best: dict[int, int] = {}
    for ranking in rankings:
        for rank, row in enumerate(dict.fromkeys(ranking), start=1):
            scores[row] += 1 / (FUSION + rank)
            best[row] = min(rank, best.get(row, rank))
    return {row: scores[row] for row in sorted(scores, key=lambda row: (-scores[row], best[row], row))}
