"""The instances that a marked span can have come from: the top of every ranking, and of their fusion (section 5)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from closerlook.core import schemas
from closerlook.trace.embeddings import pair_text
from closerlook.trace.indexed_dataset import IndexedDataset
from closerlook.trace.keywords import overlap
from closerlook.trace.marked import MarkedResponses
from closerlook.trace.matching_statistics import match_lengths
from closerlook.trace.nulls import derangements, matched_phrases
from closerlook.trace.passages import unshifted_words
from closerlook.trace.phrases import Phrases, is_found
from closerlook.trace.rankers import DEPTH, LONGEST_RUN, LocatedSpan, fuse, rank_lexically


def trace(marked: MarkedResponses, dataset: IndexedDataset, top: int, seed: int) -> pa.Table:
    """TRACE: each span's candidates, in the order of the spans, by fused rank.

    Rankings of DEPTH instances are fused, with the constant of Cormack et al. (60). Shorter rankings would not do: a span's true
    source is far down in some of them, and two rankers that agree on what is similar to the prompt would outvote the one that
    found the span. The first `top` of each ranking are kept. A span without candidates has one row, whose instance is null.
    Raises CloserlookError if the attribution names instances that the dataset lacks.
    """
    lookup = _SpanLookup(marked, dataset, seed)
    rows: list[dict[str, Any]] = []
    for number, span in enumerate(tqdm(lookup.spans, desc="trace", unit="span", disable=None)):
        rankings = lookup.rankings(number, span)
        scores = fuse(list(rankings.values()))
        rankings["fused"] = list(scores)
        ranks = {name: {row: rank for rank, row in enumerate(ranking[:top], 1)} for name, ranking in rankings.items()}
        kept = [row for row in rankings["fused"] if any(row in rank_of for rank_of in ranks.values())]
        if not kept:
            rows.append(lookup.span_columns(number, span))
        fused = {row: rank for rank, row in enumerate(rankings["fused"], 1)}
        for row in kept:
            first = any(rank_of.get(row) == 1 for rank_of in ranks.values())
            rank_columns = {f"rank_{name}": ranks.get(name, {}).get(row) for name in schemas.RANKERS}
            columns = lookup.span_columns(number, span) | lookup.candidate_columns(number, span, row, first)
            rows.append(columns | rank_columns | {"rank_fused": fused[row], "fused": scores[row]})
    return pa.Table.from_pylist(rows, schema=schemas.TRACE)


class _SpanLookup:
    """The results of all lookups that are made for all spans at once, and the columns of TRACE that follow from them."""

    def __init__(self, marked: MarkedResponses, dataset: IndexedDataset, seed: int) -> None:
        self.marked, self.dataset, passages = marked, dataset, marked.passages
        self.spans, self.phrases = marked.located, marked.phrases
        words = [word.text for word in passages.words]
        self.lengths = match_lengths(words, passages.remaining, dataset.occurs, LONGEST_RUN)
        quotes = [passages.texts[span.response][span.start : span.end] for span in self.spans]
        self.instances = dataset.index.exact.counts(quotes)
        self.instances_words = dataset.index.words.counts(self.phrases)
        self.matched = _matched(self.spans, marked, self.lengths, seed)
        self.bm25, self.scores = dataset.index.bm25(marked.queries, DEPTH)
        self.pairs = marked.pairs
        others = derangements(len(self.pairs), seed, times=1)
        self.other = others[0] if len(others) else None
        self.row_of = marked.attributed_rows(dataset)
        if dataset.embeddings is not None:
            self.vectors = dataset.embeddings.encode(self.pairs)
            self.nearest = dataset.embeddings.nearest(self.vectors, DEPTH, dataset.limit)[0]

    def rankings(self, number: int, span: LocatedSpan) -> dict[str, list[int]]:
        """Rows of the dataset, best first, by ranker. BM25 ranks only instances that share a word with its query."""
        scored = self.bm25[number][self.scores[number] > 0]
        rankings = {
            "lexical": rank_lexically(span, self.marked.passages, self.lengths, self.dataset, scored),
            "bm25": scored.tolist(),
        }
        if self.dataset.embeddings is not None:
            rankings["semantic"] = self.nearest[span.response].tolist()
        if found := self.marked.attribution.get(self.marked.key(span)):
            rankings["gradient"] = [self.row_of[identity] for identity in found][:DEPTH]
        return rankings

    def span_columns(self, number: int, span: LocatedSpan) -> dict[str, Any]:
        """The columns of TRACE that describe the span."""
        first, last = span.words
        within = np.minimum(self.lengths[first:last], last - np.arange(first, last))
        return {
            "id": self.marked.passages.ids[span.response],
            "start": span.start,
            "end": span.end,
            "searched": self.dataset.name,
            "instances": int(self.instances[number]),
            "instances_words": int(self.instances_words[number]),
            "longest": int(within.max(initial=0)),
            "matched": self.matched[number],
        }

    def candidate_columns(self, number: int, span: LocatedSpan, row: int, first: bool) -> dict[str, Any]:
        """The columns of TRACE that describe the candidate. first: some ranker ranks it first."""
        index, phrase = self.dataset.index, self.phrases[number]
        text = pair_text(index.instructions[row], index.responses[row])
        occurs = self.dataset.occurs_in([row])
        low, high = span.sentence
        words = [word.text for word in self.marked.passages.words[low:high]]
        shared = match_lengths(words, np.arange(high - low, 0, -1), occurs, LONGEST_RUN)
        score = self.scores[number][self.bm25[number] == row]
        columns = {
            "instance": index.ids[row],
            "influence": self.marked.attribution.get(self.marked.key(span), {}).get(index.ids[row]),
            "verbatim": bool(phrase) and bool(occurs([phrase])[0]),
            "shared": int(shared.max(initial=0)),
            "keyword": overlap(self.pairs[span.response], text),
            "bm25": float(score[0]) if len(score) and score[0] > 0 else None,
        }
        other = self.other[span.response] if first and self.other is not None else None
        if other is not None:
            columns["keyword_other"] = overlap(self.pairs[other], text)
        if self.dataset.embeddings is not None:
            vector = np.asarray(self.dataset.embeddings.vectors[row], dtype=np.float32)
            columns["semantic"] = float(self.vectors[span.response] @ vector)
            if other is not None:
                columns["semantic_other"] = float(self.vectors[other] @ vector)
        return columns


def _matched(
    spans: Sequence[LocatedSpan], marked: MarkedResponses, lengths: np.ndarray, seed: int
) -> list[float | None]:
    """For each span, the share of its matched phrases that the dataset contains; None if it has no words or no match."""
    with_words = [number for number, span in enumerate(spans) if span.words[0] < span.words[1]]
    phrases = [(spans[n].words[0], spans[n].words[1] - spans[n].words[0], 0, spans[n].response) for n in with_words]
    matched, drawn_for = matched_phrases(
        Phrases.from_rows(phrases), unshifted_words(marked.passages, marked.classes), marked.passages, seed
    )
    counts = np.bincount(drawn_for, minlength=len(phrases))
    found = np.bincount(drawn_for, weights=is_found(matched, lengths), minlength=len(phrases))
    shares: list[float | None] = [None] * len(spans)
    for number, hits, n in zip(with_words, found, counts, strict=True):
        shares[number] = float(hits / n) if n else None
    return shares
