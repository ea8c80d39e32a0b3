"""Where the words that tuning moved stand in the data, and in how long a run of the response (section 4, tone)."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from closerlook.core import schemas
from closerlook.text.words import rendered
from closerlook.trace.fusion import fuse
from closerlook.trace.indexed_dataset import Searched
from closerlook.trace.matching_statistics import longest_runs
from closerlook.trace.passages import Passages
from closerlook.trace.rankers import DEPTH, LONGEST_RUN, in_order

CANDIDATES = 3
"""Instances kept of each ranking."""
SIMILAR = 1000
"""Instances that are ordered by their similarity to an instruction."""


def trace_words(passages: Passages, classes: np.ndarray, instructions: Sequence[str], dataset: Searched) -> pa.Table:
    """WORDS: each shifted or marginal word, how many instances hold it, the longest run around it that some instance holds, and
    its candidates by each ranker and by all of them: a word that is read in no instance was borrowed from none, so only those
    that hold it are ranked.

    classes: [words] str. Runs of more than LONGEST_RUN words are cut there. Rankings of DEPTH instances are fused.
    """
    moved = np.flatnonzero(classes != "unshifted")
    runs = longest_runs([word.text for word in passages.words], passages.left, dataset.occurs, LONGEST_RUN)
    near = _similar(instructions, dataset)
    holding = cache(dataset.index.words.documents)
    rows: list[dict[str, Any]] = []
    around = longest_around(passages, runs, moved)
    for i, (first, last) in zip(tqdm(moved, desc="words", disable=None), around, strict=True):
        word, text, run = passages.words[i], passages.owner[i], passages.words[first:last]
        instances = holding(rendered([word.text]))
        rankings = {name: _of_these(instances, order[text]) for name, order in near.items()}
        in_run = in_order(holding(rendered(w.text for w in run)), near.get("semantic", near["bm25"])[text], DEPTH)
        rankings = {"lexical": in_run, **rankings}
        rankings["candidates"] = fuse(list(rankings.values()))
        rows.append(
            {
                "id": passages.ids[text],
                "start": word.start,
                "end": word.end,
                "class": str(classes[i]),
                "instances": len(instances),
                "longest": len(run),
                "longest_start": run[0].start if run else None,
                "longest_end": run[-1].end if run else None,
                **{name: [dataset.index.ids[row] for row in some[:CANDIDATES]] for name, some in rankings.items()},
            }
        )
    return pa.Table.from_pylist(rows, schema=schemas.WORDS)


def _similar(instructions: Sequence[str], dataset: Searched) -> dict[str, list[np.ndarray]]:
    """The rows most similar to each instruction, best first, by ranker; BM25's share a word with it."""
    rows, scores = dataset.index.bm25(instructions, SIMILAR)
    near = {"bm25": [some[of > 0] for some, of in zip(rows, scores, strict=True)]}
    if dataset.embeddings is not None:
        near["semantic"] = list(dataset.most_similar(instructions, SIMILAR))
    return near


def _of_these(rows: np.ndarray, order: np.ndarray) -> list[int]:
    """The first DEPTH of `order` that are among `rows` (ascending)."""
    place = np.searchsorted(rows, order)
    return [int(row) for row in order[np.append(rows, -1)[place] == order][:DEPTH]]


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
