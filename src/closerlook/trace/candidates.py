"""From a marked span to the instances that it can have come from: every ranker's first ones, and their fusion's (section 5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from closerlook.core import schemas
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.text.words import rendered
from closerlook.trace.fusion import fuse
from closerlook.trace.indexed_dataset import Searched
from closerlook.trace.keywords import overlap
from closerlook.trace.matching_statistics import longest_runs
from closerlook.trace.nulls import deal, matched
from closerlook.trace.passages import Passages
from closerlook.trace.phrases import Phrases, found_by
from closerlook.trace.rankers import DEPTH, LONGEST_RUN, Place, lexical, places

SpanKey = tuple[str, int, int]
"""Id of the response, start, end."""


@dataclass(frozen=True)
class Traced:
    """The spans (row of the response, start, end) of a cell's responses, and what else is known of these.

    unshifted: bool, for each word of the passages, whether tuning left it where it was: matched phrases begin with such.
    attribution: ids of instances, best first, by span; empty where no gradients were taken.
    """

    passages: Passages
    instructions: Sequence[str]
    spans: Sequence[tuple[int, int, int]]
    unshifted: np.ndarray
    attribution: Mapping[SpanKey, Sequence[str]] = field(default_factory=dict)

    def pairs(self) -> list[str]:
        """Instruction and response of each response, as instances are embedded."""
        return [f"{asked}\n{text}" for asked, text in zip(self.instructions, self.passages.texts, strict=True)]


def trace(traced: Traced, dataset: Searched, top: int, seed: int) -> pa.Table:
    """TRACE: each span's candidates, in the order of the spans, by their fused rank.

    Rankings of DEPTH instances are fused, with the constant of Cormack et al. (60): a span's true source is far down in some
    rankings, and short lists would let two rankers that agree on what is like the prompt outvote the one that found the span.
    Kept are the first `top` of each ranking. A span without any candidate has one row, whose instance is null. Raises
    CloserlookError for an attribution to instances that the dataset lacks.
    """
    looked_up = _LookedUp(traced, dataset, seed)
    rows: list[dict[str, Any]] = []
    for number, place in enumerate(tqdm(looked_up.places, desc="trace", unit="span", disable=None)):
        rankings = looked_up.rankings(number, place)
        rankings["fused"] = fuse(list(rankings.values()))
        ranks = {name: {row: rank for rank, row in enumerate(some[:top], 1)} for name, some in rankings.items()}
        kept = [row for row in rankings["fused"] if any(row in some for some in ranks.values())]
        if not kept:
            rows.append(looked_up.span(number, place))
        fused = {row: rank for rank, row in enumerate(rankings["fused"], 1)}
        for row in kept:
            first = any(some.get(row) == 1 for some in ranks.values())
            placed = {f"rank_{name}": ranks.get(name, {}).get(row) for name in schemas.RANKERS} | {
                "rank_fused": fused[row]
            }
            rows.append(looked_up.span(number, place) | looked_up.candidate(number, place, row, first) | placed)
    return pa.Table.from_pylist(rows, schema=schemas.TRACE)


class _LookedUp:
    """All that is asked of the dataset at once for all spans, and what of it each span's rows hold."""

    def __init__(self, traced: Traced, dataset: Searched, seed: int) -> None:
        self.traced, self.dataset, passages = traced, dataset, traced.passages
        self.places = list(places(passages, traced.spans))
        self.runs = longest_runs([w.text for w in passages.words], passages.left, dataset.occurs, LONGEST_RUN)
        self.quotes = [passages.texts[place.response][place.start : place.end] for place in self.places]
        self.instances = dataset.index.exact.counts(self.quotes)
        self.phrases = [rendered(w.text for w in passages.words[slice(*place.words)]) for place in self.places]
        self.instances_words = dataset.index.words.counts(self.phrases)
        self.chance = _chance(self.places, traced, self.runs, seed)
        queries = [f"{place.context} {traced.instructions[place.response]}" for place in self.places]
        self.bm25, self.scores = dataset.index.bm25(queries, DEPTH)
        self.pairs = traced.pairs()
        others = deal(len(self.pairs), seed, times=1)
        self.other = others[0] if len(others) else None
        self.row_of = {identity: row for row, identity in enumerate(dataset.index.ids)} if traced.attribution else {}
        if foreign := {identity for ids in traced.attribution.values() for identity in ids} - self.row_of.keys():
            found = f"instance {min(foreign)} speaks for a span, but {dataset.name} has no such instance"
            raise CloserlookError(f"attribution: {found}; attribute the spans again")
        if dataset.embeddings is not None:
            self.vectors = dataset.embeddings.encode(self.pairs)
            self.nearest = dataset.embeddings.nearest(self.vectors, DEPTH, dataset.limit)[0]

    def rankings(self, number: int, place: Place) -> dict[str, list[int]]:
        """Rows of the dataset, best first, by ranker. BM25 says nothing of instances that share no word with its query."""
        scored = self.bm25[number][self.scores[number] > 0]
        found = {
            "lexical": lexical(place, self.traced.passages, self.runs, self.dataset, scored),
            "bm25": scored.tolist(),
        }
        if self.dataset.embeddings is not None:
            found["semantic"] = self.nearest[place.response].tolist()
        key = (self.traced.passages.ids[place.response], place.start, place.end)
        if key in self.traced.attribution:
            found["gradient"] = [self.row_of[identity] for identity in self.traced.attribution[key]][:DEPTH]
        return found

    def span(self, number: int, place: Place) -> dict[str, Any]:
        """TRACE's columns that are of the span."""
        first, last = place.words
        within = np.minimum(self.runs[first:last], last - np.arange(first, last))
        return {
            "id": self.traced.passages.ids[place.response],
            "start": place.start,
            "end": place.end,
            "instances": int(self.instances[number]),
            "instances_words": int(self.instances_words[number]),
            "longest": int(within.max(initial=0)),
            "chance": self.chance[number],
        }

    def candidate(self, number: int, place: Place, row: int, first: bool) -> dict[str, Any]:
        """TRACE's columns that are of the candidate. first: a ranker places it first, so its chance levels are wanted."""
        index, phrase = self.dataset.index, self.phrases[number]
        text = f"{index.instructions[row]}\n{index.responses[row]}"
        holds = self.dataset.occurs_in([row])
        some = slice(*place.sentence)
        words, left = [w.text for w in self.traced.passages.words[some]], np.arange(some.stop - some.start, 0, -1)
        score = self.scores[number][self.bm25[number] == row]
        found = {
            "instance": index.ids[row],
            "verbatim": bool(phrase) and bool(holds([phrase])[0]),
            "shared": int(longest_runs(words, left, holds, LONGEST_RUN).max(initial=0)),
            "keyword": overlap(self.pairs[place.response], text),
            "bm25": float(score[0]) if len(score) and score[0] > 0 else None,
        }
        other = self.other[place.response] if first and self.other is not None else None
        if other is not None:
            found["keyword_chance"] = overlap(self.pairs[other], text)
        if self.dataset.embeddings is not None:
            vector = np.asarray(self.dataset.embeddings.vectors[row], dtype=np.float32)
            found["semantic"] = float(self.vectors[place.response] @ vector)
            if other is not None:
                found["semantic_chance"] = float(self.vectors[other] @ vector)
        return found


def _chance(places: Sequence[Place], traced: Traced, runs: np.ndarray, seed: int) -> list[float | None]:
    """For each span, the share of matched phrases that the dataset holds; None for a span without words, or without a match."""
    worded = [number for number, place in enumerate(places) if place.words[0] < place.words[1]]
    spans = [(places[n].words[0], places[n].words[1] - places[n].words[0], 0, places[n].response) for n in worded]
    drawn, of = matched(Phrases.of(spans), traced.unshifted, traced.passages, seed)
    counts = np.bincount(of, minlength=len(spans))
    found = np.bincount(of, weights=found_by(drawn, runs), minlength=len(spans))
    shares: list[float | None] = [None] * len(places)
    for number, hits, n in zip(worded, found, counts, strict=True):
        shares[number] = float(hits / n) if n else None
    return shares


def read_attribution(path: Path) -> dict[SpanKey, list[str]]:
    """Ids of instances by span, best first, from an ATTRIBUTION file."""
    found: dict[SpanKey, list[str]] = {}
    table = read_parquet(path, columns=["id", "start", "end", "instance", "rank"]).sort_by("rank")
    for row in table.to_pylist():
        found.setdefault((row["id"], row["start"], row["end"]), []).append(row["instance"])
    return found
