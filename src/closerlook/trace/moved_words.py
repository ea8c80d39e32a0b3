"""Where the words that tuning moved stand in the data, and in how long a run of the response (section 4, tone)."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from closerlook import schemas
from closerlook.trace.passages import Passages
from closerlook.trace.rankers import LONGEST_RUN, in_order
from closerlook.trace.runs import longest_runs, lookup
from closerlook.trace.similar import Searched
from closerlook.trace.words import rendered

CANDIDATES = 3
DEPTH = 1000
"""Instances that are ordered by their similarity to an instruction; those beyond come in the dataset's order."""


def trace_words(passages: Passages, classes: np.ndarray, instructions: Sequence[str], dataset: Searched) -> pa.Table:
    """WORDS: each shifted or marginal word, how many instances hold it, and the longest run around it that some instance holds.

    classes: [words] str. Runs of more than LONGEST_RUN words are cut there.
    """
    moved = np.flatnonzero(classes != "unshifted")
    runs = longest_runs([word.text for word in passages.words], passages.left, dataset.occurs, LONGEST_RUN)
    instances = lookup(dataset.index.words.counts, [rendered([passages.words[i].text]) for i in moved])
    near = dataset.most_similar(instructions, DEPTH)
    holding = cache(dataset.index.words.documents)
    rows: list[dict[str, Any]] = []
    around = longest_around(passages, runs, moved)
    for i, count, (first, last) in zip(tqdm(moved, desc="words", disable=None), instances, around, strict=True):
        word, text, run = passages.words[i], passages.owner[i], passages.words[first:last]
        found = in_order(holding(rendered(w.text for w in run)), near[text], CANDIDATES)
        rows.append(
            {
                "id": passages.ids[text],
                "start": word.start,
                "end": word.end,
                "class": str(classes[i]),
                "instances": int(count),
                "longest": len(run),
                "longest_start": run[0].start if run else None,
                "longest_end": run[-1].end if run else None,
                "candidates": [dataset.index.ids[row] for row in found],
            }
        )
    return pa.Table.from_pylist(rows, schema=schemas.WORDS)


def longest_around(passages: Passages, runs: np.ndarray, words: np.ndarray) -> Iterator[tuple[int, int]]:
    """For each of some words the first longest run [first, last) that holds it; [word, word) where nothing does.

    A run's end never comes before the end of the run from an earlier word, so those that reach over a word begin side by side.
    """
    ends = np.arange(len(runs)) + runs
    for word in words.tolist():
        low = int(passages.first[passages.owner[word]])
        first = low + int(np.searchsorted(ends[low:word], word, side="right"))
        best = first + int(np.argmax(runs[first : word + 1]))
        yield (best, best + int(runs[best])) if runs[best] and ends[best] > word else (word, word)
