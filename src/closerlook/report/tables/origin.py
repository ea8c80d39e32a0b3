"""Whether marked spans come from the instruction data, by every criterion, and how similar their sources are (Figure 8)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from closerlook.core.files import read_parquet
from closerlook.core.schemas import RANKERS
from closerlook.report.tables import metrics
from closerlook.report.tables.borrowing import OBSERVED, Counts, against_chance
from closerlook.report.tables.selection import traced
from closerlook.report.tables.table import (
    BORROWING_FILE,
    IDENTITY,
    SPANS_FILE,
    SUBSET_FILE,
    TRACE_FILE,
    Measured,
    MeasuredOf,
    Part,
    Row,
    Table,
)
from closerlook.stats.bootstrap import Estimate, ratios
from closerlook.text.words import rendered, words_of
from closerlook.trace.nulls import derangements

THRESHOLD = 2 / 3
"""Share of a span's words that one run must hold."""
FIRST = "first_"
"""Begins the criteria by ranker. Rankers pick an instance for what it shares with the span, so it would hold the span's words
more often than one picked for another span even where nothing was borrowed: there is a rate to compare, but none to correct."""

Key = tuple[str, int, int]


@dataclass(frozen=True)
class TracedSpan:
    """A span of a TRACE file: a row with its columns, and by ranker the row of the candidate that it places first."""

    span: Mapping[str, Any]
    first: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def read_trace(path: Path) -> dict[Key, TracedSpan]:
    """The traced spans, in the file's order."""
    spans: dict[Key, TracedSpan] = {}
    for row in read_parquet(path).to_pylist():
        traced = spans.setdefault((row["id"], row["start"], row["end"]), TracedSpan(row))
        traced.first.update({name: row for name in RANKERS if row[f"rank_{name}"] == 1})
    return spans


def measure_origin(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Shares of a cell's spans that come from its own dataset, by criterion and chance level."""
    for cell, (spans, trace, borrowing, subset) in cells:
        traced = read_trace(trace)
        counted = Counts(borrowing)
        ids = counted.names["id"]
        criteria = [
            *_of_spans(traced, spans, ids),
            *_of_borrowing(counted, cell["own"], cell["marker"]),
            *_of_first(traced, spans, subset, ids),
            *_of_people(spans, ids),
        ]
        for criterion, null, observed, chance in criteria:
            keys = {"marker": cell["marker"], "criterion": criterion, "null": null}
            for name, estimate in _measured(observed, chance):
                if not (name == "corrected" and criterion.startswith(FIRST)):
                    yield cell, keys, name, estimate


def _measured(observed: np.ndarray, chance: np.ndarray | None) -> Iterator[tuple[str, Estimate]]:
    """[2, responses] each: spans from the data, and spans."""
    if chance is None:
        yield "from_data", ratios(observed[0][:, None], observed[1][:, None])[0]
    else:
        yield from zip(("from_data", "chance", "corrected"), against_chance([observed], [chance])[0], strict=True)


Criterion = tuple[str, str, np.ndarray, np.ndarray | None]
"""Name, chance level, and both counts; no chance level and None where it has none."""


def _of_spans(traced: Mapping[Key, TracedSpan], spans: Path, ids: Sequence[str]) -> Iterator[Criterion]:
    """What the whole dataset holds of each span."""
    quotes = _quotes(spans)
    columns: dict[str, list[float | None]] = {"verbatim": [], "words": [], "two_thirds": [], "chance": []}
    for key, one in traced.items():
        words = len(words_of(quotes[key]))
        columns["verbatim"].append(one.span["instances"] > 0)
        columns["words"].append(one.span["instances_words"] > 0)
        columns["two_thirds"].append(words > 0 and one.span["longest"] >= THRESHOLD * words)
        columns["chance"].append(one.span["chance"])
    counts = {name: _by_response(traced, values, ids) for name, values in columns.items()}
    yield "verbatim", "", counts["verbatim"], None
    yield "two_thirds", "", counts["two_thirds"], None
    yield "words", "matched", counts["words"], counts["chance"]


def _of_borrowing(counted: Counts, own: str, marker: str) -> Iterator[Criterion]:
    """The spans whole, against what BORROWING counts by chance."""
    for criterion, where in (("words", "all"), ("similar", "similar")):
        wanted: dict[str, str | int] = {"searched": own, "unit": f"span:{marker}", "where": where, "ngram": 0}
        observed = counted.of(null=OBSERVED, **wanted)
        for null in ("unrelated", "permuted"):
            if null in counted.nulls(**wanted):
                yield criterion, null, observed, counted.of(null=null, **wanted)


def _of_first(traced: Mapping[Key, TracedSpan], spans: Path, subset: Path, ids: Sequence[str]) -> Iterator[Criterion]:
    """Whether the one instance that a ranker places first holds the span, and whether that of a span of another response does."""
    quotes = {key: rendered(word.text for word in words_of(quote)) for key, quote in _quotes(spans).items()}
    table = read_parquet(subset, columns=["id", "instruction", "response"])
    wanted = {row["instance"] for one in traced.values() for row in one.first.values()}
    texts = {
        row["id"]: "\n".join(
            rendered(word.text for word in words_of(row[name])) for name in ("instruction", "response")
        )
        for row in table.to_pylist()
        if row["id"] in wanted
    }
    by_response: defaultdict[str, list[Key]] = defaultdict(list)
    for key in traced:
        by_response[key[0]].append(key)
    groups = list(by_response.values())
    dealt = derangements(len(groups), seed=0, times=1)
    other = {key: groups[to][0] for to_all in dealt for keys, to in zip(groups, to_all, strict=True) for key in keys}
    for ranker in RANKERS:
        held = {key: one.first[ranker]["instance"] for key, one in traced.items() if ranker in one.first}
        if not held:
            continue
        found = [_holds(texts, held.get(key), quotes[key]) for key in traced]
        if not other:
            yield FIRST + ranker, "", _by_response(traced, found, ids), None
            continue
        permuted = [_holds(texts, held.get(other[key]), quotes[key]) for key in traced]
        yield FIRST + ranker, "permuted", _by_response(traced, found, ids), _by_response(traced, permuted, ids)


def _holds(texts: Mapping[str, str], instance: str | None, phrase: str) -> bool:
    """Whether an instance holds a phrase of words; none holds none, and a phrase without words stands nowhere."""
    return bool(phrase) and instance is not None and phrase in texts[instance]


def _of_people(spans: Path, ids: Sequence[str]) -> Iterator[Criterion]:
    """Where people said which instance it is, or that there is none."""
    rows = read_parquet(spans, columns=["id", "start", "end", "origin"]).to_pylist()
    asked = {
        (row["id"], row["start"], row["end"]): row["origin"] != "none" for row in rows if row["origin"] is not None
    }
    if asked:
        yield "human", "", _by_response(asked, list(asked.values()), ids), None


def _quotes(spans: Path) -> dict[Key, str]:
    rows = read_parquet(spans, columns=["id", "start", "end", "quote"]).to_pylist()
    return {(row["id"], row["start"], row["end"]): row["quote"] for row in rows if row["start"] is not None}


def _by_response(keys: Iterable[Key], values: Sequence[float | None], ids: Iterable[str] = ()) -> np.ndarray:
    """[2, responses]: the sum of the values of each response's spans, and how many have one.

    Responses are those of the spans, and all `ids`, so that those without a span count as such.
    """
    place = {id_: row for row, id_ in enumerate(dict.fromkeys([*ids, *(key[0] for key in keys)]))}
    rows = [place[key[0]] for key in keys]
    there = [value is not None for value in values]
    filled = [float(value or 0) for value in values]
    return np.stack([np.bincount(rows, weights=what, minlength=len(place)) for what in (filled, there)])


def measure_similarity(trace: Path) -> Iterator[Measured]:
    """Mean similarity of the pairs to the first candidate of each ranker, beside that of other pairs to it."""
    traced = read_trace(trace)
    columns = ("semantic", "semantic_chance", "keyword", "keyword_chance")
    for ranker in RANKERS:
        firsts = [one.first.get(ranker, {}) for one in traced.values()]
        for name in columns:
            counts = _by_response(traced, [row.get(name) for row in firsts])
            if counts[1].any():
                yield {"ranker": ranker}, name, ratios(counts[0][:, None], counts[1][:, None])[0]


ORIGIN = Table(
    title="Do marked spans come from the instruction data?",
    caption=(
        "Share of the marked spans that come from the dataset (Figure 8), by every criterion there is, beside its chance. "
        "Verbatim: the span whole, case-sensitive, stands in some instance, maybe within a longer word. Words: its words side "
        "by side do, case ignored. Two thirds: a run of at least two thirds of its words does. Similar: its words stand in one "
        "of the instances most similar to the instruction. First by a ranker: its words stand in the instance that the ranker "
        "places first. Human: a person named an instance. Chance: of matched phrases (as long, as rare, from answers to other "
        "prompts), of the same in an unrelated dataset, or of the same in the instances found for another response (permuted). "
        "A ranker picks an instance for what it shares with the span, so it holds the span's words more often than one picked "
        "for another span even where nothing was borrowed: no corrected rate is given for it. Null: responses without a span. "
        "Where every span is found, resampling knows no other value: that the interval has no width does not make it certain."
    ),
    metrics=metrics.ORIGIN,
    keys=("marker", "criterion", "null"),
    asks_for="searched",
    parts=(
        Part(
            (*IDENTITY, "marker"),
            (
                SPANS_FILE,
                TRACE_FILE,
                BORROWING_FILE,
                SUBSET_FILE,
            ),
            measure_origin,
            ("from_data",),
            over=traced,
            together=(*IDENTITY, "marker"),
        ),
    ),
)


SIMILARITY = Table(
    title="Similarity of responses to the instances they are traced to",
    caption=(
        "The pair of instruction and response beside that of the first traced instance, means over marked spans: Sentence-BERT "
        "cosine (the paper: 0.418) and keyword overlap, mean over 1- to 3-grams (the paper: 61.6%). Chance: the same instance "
        "beside the pair of another evaluation instruction. An instance that was picked for being similar is so even where "
        "nothing was borrowed; the difference says how alike it is, not that it is the source. Null: responses with spans for "
        "none of which the ranker names an instance."
    ),
    metrics=metrics.SIMILARITY,
    keys=("marker", "ranker"),
    asks_for="searched",
    parts=(
        Part(
            (*IDENTITY, "marker"),
            (TRACE_FILE,),
            measure_similarity,
            tuple(metrics.SIMILARITY),
            over=traced,
        ),
    ),
)
