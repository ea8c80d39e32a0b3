"""Where shifted words occur in the data, and how long a run of the response around each of them does (section 4, tone)."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from closerlook.core import schemas
from closerlook.text.words import join_words
from closerlook.trace.indexed_dataset import IndexedDataset
from closerlook.trace.matching_statistics import match_lengths
from closerlook.trace.passages import Passages
from closerlook.trace.rankers import LONGEST_RUN, fuse, reorder, restrict

CANDIDATES = 3
"""Instances kept of each ranking."""
SIMILAR = 1000
"""Instances that are ranked by their similarity to an instruction."""


def trace_words(
    passages: Passages, classes: np.ndarray, instructions: Sequence[str], dataset: IndexedDataset
) -> pa.Table:
    """WORDS: for each shifted or marginal word, the number of instances that contain it, the longest run around it that some
    instance contains, and its candidates by each ranker and by their fusion. Only instances that contain the word are ranked,
    since it cannot have been borrowed from any other.

    classes: [words] str. Runs are cut at LONGEST_RUN words. Rankings of DEPTH instances are fused.
    """
    shifted = np.flatnonzero(classes != "unshifted")
    words = [word.text for word in passages.words]
    lengths = match_lengths(words, passages.remaining, dataset.occurs, LONGEST_RUN)
    similar = _similar(instructions, dataset)
    rows_with = cache(dataset.index.words.documents)
    rows: list[dict[str, Any]] = []
    around = longest_match_around(passages, lengths, shifted)
    for i, (first, last) in zip(tqdm(shifted, desc="words", disable=None), around, strict=True):
        word, text, run = passages.words[i], passages.text_of_word[i], passages.words[first:last]
        instances = rows_with(join_words([word.text]))
        with_run = rows_with(join_words(words[first:last]))
        rankings = {"lexical": reorder(with_run, similar.get("semantic", similar["bm25"])[text])}
        rankings |= {name: restrict(order[text], instances) for name, order in similar.items()}
        rankings["candidates"] = list(fuse(list(rankings.values())))
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
                **{name: [dataset.index.ids[row] for row in rank[:CANDIDATES]] for name, rank in rankings.items()},
            }
        )
    return pa.Table.from_pylist(rows, schema=schemas.WORDS)


def _similar(instructions: Sequence[str], dataset: IndexedDataset) -> dict[str, list[np.ndarray]]:
    """The rows most similar to each instruction, best first, by ranker; BM25's are those that share a word with it."""
    rows, scores = dataset.index.bm25(instructions, SIMILAR)
    similar = {"bm25": [ranking[score > 0] for ranking, score in zip(rows, scores, strict=True)]}
    if dataset.embeddings is not None:
        similar["semantic"] = list(dataset.most_similar(instructions, SIMILAR))
    return similar


def longest_match_around(passages: Passages, lengths: np.ndarray, words: np.ndarray) -> Iterator[tuple[int, int]]:
    """The first longest run [first, last) that contains each word (an index) and occurs; [word, word) if none does.

    A run never ends before the run from an earlier word does, so the runs that contain a word start at consecutive words.
    """
    ends = np.arange(len(lengths)) + lengths
    for word in words.tolist():
        low = int(passages.first[passages.text_of_word[word]])
        first = low + int(np.searchsorted(ends[low:word], word, side="right"))
        best = first + int(np.argmax(lengths[first : word + 1]))
        yield (best, best + int(lengths[best])) if lengths[best] and ends[best] > word else (word, word)
