"""Whether marked spans come from the instruction data, by several criteria, and how similar their sources are (Figure 8)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from closerlook.core.files import read_ids, read_parquet
from closerlook.core.schemas import RANKERS
from closerlook.report.tables import metrics
from closerlook.report.tables.borrowing import HELD_OUT, OBSERVED, Counts, compare, excess
from closerlook.report.tables.measuring import means, shares
from closerlook.report.tables.selection import traced
from closerlook.report.tables.table import IDENTITY, Files, MeasuredOf, Part, Row, Table
from closerlook.stats.bootstrap import Estimate
from closerlook.text.words import join_words, words_of
from closerlook.trace.nulls import derangements

THRESHOLD = 2 / 3
"""Share of a span's words that one run must contain."""
FIRST = "first_"
"""Prefix of the criteria by ranker. A ranker selects an instance because it is like the span, so it contains the span's words
more often than another even where nothing was borrowed."""

TRACED = (*IDENTITY, "marker", "searched")
"""What a row of these tables is about; a tuned cell is traced in its own dataset alone."""
Key = tuple[str, int, int]
"""A span: id of the response, start, end."""
Criterion = tuple[str, str, dict[str, Estimate]]
"""Name, what it is compared with ("" for nothing), and the estimates by metric."""
COMPARED = ("from_data", "level", "difference")


@dataclass(frozen=True)
class TracedSpan:
    """A span of a TRACE file: a row with the columns of the span, and by ranker and rank the rows of its candidates."""

    span: Mapping[str, Any]
    ranked: dict[str, dict[int, Mapping[str, Any]]] = field(default_factory=lambda: {name: {} for name in RANKERS})

    def first(self, ranker: str) -> Mapping[str, Any]:
        """The row of the candidate ranked first; empty if there is none."""
        return self.ranked[ranker].get(1, {})


def read_trace(path: Path, searched: str) -> dict[Key, TracedSpan]:
    """The spans traced in a dataset, in the file's order."""
    spans: dict[Key, TracedSpan] = {}
    for row in read_parquet(path).filter(pc.field("searched") == searched).to_pylist():
        span = spans.setdefault((row["id"], row["start"], row["end"]), TracedSpan(row))
        for ranker in RANKERS:
            if row[f"rank_{ranker}"] is not None:
                span.ranked[ranker][row[f"rank_{ranker}"]] = row
    return spans


def measure_origin(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Shares of a cell's spans that come from the dataset they were traced in, by criterion and level."""
    for cell, (spans, trace, borrowing, subset) in cells:
        traced = read_trace(trace, cell["searched"])
        counts = Counts(borrowing)
        ids = counts.ids
        quotes = _read_quotes(spans)
        criteria = [
            *_dataset_criteria(traced, quotes, ids),
            *_borrowing_criteria(counts, cell["searched"], cell["marker"]),
            *_ranker_criteria(traced, quotes, subset, ids),
            *_human_criterion(spans, ids),
        ]
        for criterion, null, estimates in criteria:
            for name, estimate in estimates.items():
                yield cell, {"criterion": criterion, "null": null}, name, estimate


def _share(observed: np.ndarray) -> dict[str, Estimate]:
    """observed: [2, responses], spans from the data and all spans."""
    return shares({"from_data": observed[0]}, observed[1])


def _shares(observed: np.ndarray, level: np.ndarray) -> dict[str, Estimate]:
    """The same, with spans or phrases that it is compared with."""
    return dict(zip(COMPARED, compare([observed], [level])[0], strict=True))


def _dataset_criteria(
    traced: Mapping[Key, TracedSpan], quotes: Mapping[Key, str], ids: Sequence[str]
) -> Iterator[Criterion]:
    """What the whole dataset contains of each span."""
    columns: dict[str, list[float | None]] = {"verbatim": [], "words": [], "two_thirds": [], "matched": []}
    for key, traced_span in traced.items():
        span, words = traced_span.span, len(words_of(quotes[key]))
        columns["verbatim"].append(span["instances"] > 0)
        columns["words"].append(span["instances_words"] > 0)
        columns["two_thirds"].append(words > 0 and span["longest"] >= THRESHOLD * words)
        columns["matched"].append(span["matched"])
    counts = {name: sum_by_response(traced, values, ids) for name, values in columns.items()}
    yield "verbatim", "", _share(counts["verbatim"])
    yield "two_thirds", "", _share(counts["two_thirds"])
    yield "words", "matched", _shares(counts["words"], counts["matched"])


def _borrowing_criteria(counts: Counts, searched: str, marker: str) -> Iterator[Criterion]:
    """The whole spans, compared with what BORROWING has: chance, and other levels."""
    whole: dict[str, str | int] = {"searched": searched, "unit": f"span:{marker}", "where": "all", "ngram": 0}
    if chance := excess(counts, **whole):
        observed = chance.pop("observed")
        yield (
            "words",
            HELD_OUT,
            {"from_data": observed} | {name: chance[name] for name in metrics.ORIGIN if name in chance},
        )
    for criterion, where in (("words", "all"), ("similar", "similar")):
        values = whole | {"where": where}
        levels = counts.comparisons(**values)
        for null in ("unrelated", "permuted"):
            if null in levels:
                yield (
                    criterion,
                    null,
                    _shares(counts.select(null=OBSERVED, **values), counts.select(null=null, **values)),
                )


def _ranker_criteria(
    traced: Mapping[Key, TracedSpan], quotes: Mapping[Key, str], subset: Path, ids: Sequence[str]
) -> Iterator[Criterion]:
    """Whether the instance that a ranker ranks first contains the span, and whether that of another response's span does."""
    phrases = {key: _render_words(quotes[key]) for key in traced}
    firsts = {name: {key: span.first(name).get("instance") for key, span in traced.items()} for name in RANKERS}
    instances = {id_ for first in firsts.values() for id_ in first.values()}
    texts = {
        row["id"]: "\n".join(_render_words(row[name]) for name in ("instruction", "response"))
        for row in read_parquet(subset, columns=["id", "instruction", "response"]).to_pylist()
        if row["id"] in instances
    }
    by_response: dict[str, list[Key]] = {}
    for key in traced:
        by_response.setdefault(key[0], []).append(key)
    groups = list(by_response.values())
    permutations = derangements(len(groups), seed=0, times=1)
    other = {key: groups[i][0] for order in permutations for keys, i in zip(groups, order, strict=True) for key in keys}

    def contains(instance: str | None, phrase: str) -> bool:
        return bool(phrase) and instance is not None and phrase in texts[instance]

    for ranker, first in firsts.items():
        if not any(first.values()):
            continue
        observed = sum_by_response(traced, [contains(first[key], phrases[key]) for key in traced], ids)
        if other:
            permuted = [contains(first[other[key]], phrases[key]) for key in traced]
            yield FIRST + ranker, "permuted", _shares(observed, sum_by_response(traced, permuted, ids))
        else:
            yield FIRST + ranker, "", _share(observed)


def _human_criterion(spans: Path, ids: Sequence[str]) -> Iterator[Criterion]:
    """Whether people named an instance as the source, over the spans for which they were asked."""
    rows = read_parquet(spans, columns=["id", "start", "end", "origin"]).to_pylist()
    named = {
        (row["id"], row["start"], row["end"]): row["origin"] != "none" for row in rows if row["origin"] is not None
    }
    if named:
        yield "human", "", _share(sum_by_response(named, list(named.values()), ids))


def _read_quotes(spans: Path) -> dict[Key, str]:
    rows = read_parquet(spans, columns=["id", "start", "end", "quote"]).to_pylist()
    return {(row["id"], row["start"], row["end"]): row["quote"] for row in rows if row["start"] is not None}


def _render_words(text: str) -> str:
    return join_words(word.text for word in words_of(text))


def sum_by_response(keys: Iterable[Key], values: Sequence[float | None], ids: Iterable[str]) -> np.ndarray:
    """[2, responses]: sum of the values of each response's spans, and number of spans with a value.

    ids: of all responses, since trainings are pooled by instruction; those without a span count as null.
    """
    row_of = {id_: row for row, id_ in enumerate(ids)}
    rows = [row_of[key[0]] for key in keys]
    weights = [float(value or 0) for value in values], [value is not None for value in values]
    return np.stack([np.bincount(rows, weights=column, minlength=len(row_of)) for column in weights])


def measure_similarity(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Mean similarity of the responses to the first candidate of each ranker, and that of other responses to it."""
    for cell, (trace, responses) in cells:
        traced = read_trace(trace, cell["searched"])
        ids = read_ids(responses)
        for ranker in RANKERS:
            for name in metrics.SIMILARITY:
                sums, counts = sum_by_response(traced, [span.first(ranker).get(name) for span in traced.values()], ids)
                if counts.any():
                    yield cell, {"ranker": ranker}, name, means({name: sums}, counts)[name]


ORIGIN = Table(
    name="origin",
    title="Do marked spans come from the instruction data?",
    caption=(
        "One row per cell, marker, dataset searched, criterion and what it is compared with (null): the share of marked "
        "spans that come from the dataset (Figure 8 of the paper), and the level of the comparison. Only held_out is chance; "
        "controls were tuned on none of the datasets."
    ),
    metrics=metrics.ORIGIN,
    keys=("marker", "searched", "criterion", "null"),
    asks_for="searched",
    parts=(
        Part(
            TRACED,
            (Files.SPANS, Files.TRACE, Files.BORROWING, Files.SEARCHED),
            measure_origin,
            ("from_data",),
            controls=True,
            over=traced,
            together=TRACED,
        ),
    ),
)


SIMILARITY = Table(
    name="similarity",
    title="Similarity of responses to the instances they are traced to",
    caption=(
        "One row per cell, marker, dataset searched and ranker: similarity of the responses with marked spans to the first "
        "instance that the ranker returns for a span. Compare each value with the similarity of the same "
        "instances to other instructions and responses."
    ),
    metrics=metrics.SIMILARITY,
    keys=("marker", "searched", "ranker"),
    asks_for="searched",
    parts=(
        Part(
            TRACED,
            (Files.TRACE, Files.RESPONSES),
            measure_similarity,
            tuple(metrics.SIMILARITY),
            controls=True,
            over=traced,
            together=TRACED,
        ),
    ),
)
