"""Spans that markers marked in a cell's responses: how many, on which tokens, and how well two markers agree."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_by_id, read_ids, read_parquet
from closerlook.core.schemas import CLASSES
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import Tokens, labeled, means, null_counts, shares, total
from closerlook.report.tables.selection import marked, marked_twice
from closerlook.report.tables.table import IDENTITY, Files, Measured, Part, Table
from closerlook.spans.marks import CAUSES, KINDS, UNALIGNED
from closerlook.stats.bootstrap import Estimate, bootstrap

MARKED, ALL, DIFFERENCE = "marked", "all", "difference"
"""Which tokens: those of spans, all response tokens, and the share of the former minus that of the latter."""


@dataclass(frozen=True, eq=False)
class Marks:
    """A marker's spans of one cell's responses, in the responses' order.

    ids: of the responses. spans: (start, end, kind) of each. masks: [characters] bool, what is marked. inspected: [responses]
    bool. nulls: rows without a span, by cause. version: the marker's.
    """

    ids: list[str]
    spans: list[list[tuple[int, int, str]]]
    masks: list[np.ndarray]
    inspected: np.ndarray
    nulls: Counter[str]
    version: str

    @property
    def marked(self) -> np.ndarray:
        """Marked characters of each response: [responses] float64."""
        return np.array([np.count_nonzero(mask) for mask in self.masks], dtype=np.float64)

    @property
    def lengths(self) -> np.ndarray:
        """Characters of each response: [responses] float64."""
        return np.array([len(mask) for mask in self.masks], dtype=np.float64)

    def count_overlapping(self, other: "Marks") -> np.ndarray:
        """[responses] float64: number of spans that share a character with a span of the other marker."""
        pairs = zip(self.spans, other.masks, strict=True)
        return np.array([sum(mask[start:end].any() for start, end, _ in spans) for spans, mask in pairs], dtype=float)


def measure_spans(spans: Path, responses: Path) -> Iterator[Measured]:
    """Responses inspected and marked, spans per response, characters marked, and what gave no span, by cause."""
    marks = read_marks(spans, responses)
    keys = {"version": marks.version}
    n = int(marks.inspected.sum())
    counts = {"n": n, "n_null": len(marks.ids) - n}
    yield keys, "inspected", Estimate(float(n), **counts)
    spans_of = {"spans": [len(spans) for spans in marks.spans]} | {
        f"spans_{kind.replace(' ', '_')}": [sum(kind == k for *_, k in spans) for spans in marks.spans]
        for kind in KINDS
    }
    columns = {name: np.array(numbers, dtype=np.float64) for name, numbers in spans_of.items()}
    estimates = shares({"marked": columns["spans"] > 0}, marks.inspected) | means(columns, marks.inspected)
    estimates |= shares({"characters": marks.marked}, marks.lengths * marks.inspected)
    yield from labeled(keys, estimates)
    yield from labeled(keys, null_counts(CAUSES, marks.nulls, **counts))


def measure_span_classes(spans: Path, responses: Path, shift: Path) -> Iterator[Measured]:
    """Shares of unshifted, marginal and shifted tokens among those of spans, among all, and the difference (section 5)."""
    marks = read_marks(spans, responses)
    if read_ids(shift) != marks.ids:
        raise CloserlookError(f"{shift}: holds other responses than {responses}; delete it and run its command again")
    tokens = Tokens(shift, ["class", "token_start"])
    marked = _marked_tokens(marks, tokens["token_start"].astype(np.int64), tokens.owner)
    classes, inspected = tokens["class"], marks.inspected[tokens.owner]
    in_class = {name: classes == name for name in CLASSES} | {"shifted_or_marginal": classes != "unshifted"}
    keys = {"version": marks.version}
    counts = {MARKED: tokens.total(marked & inspected), ALL: tokens.total(inspected)}
    sums = {
        MARKED: {name: tokens.total(marked & inspected & inside) for name, inside in in_class.items()},
        ALL: {name: tokens.total(inspected & inside) for name, inside in in_class.items()},
    }
    for tokens_of, count in counts.items():
        yield from labeled(keys | {"tokens": tokens_of}, shares(sums[tokens_of], count) | {"tokens": total(count)})
    for name in in_class:
        parts = np.column_stack([sums[MARKED][name], counts[MARKED], sums[ALL][name], counts[ALL]])
        difference = _bootstrap_totals(parts, counts[ALL] > 0, lambda m, n, a, b: m / n - a / b)
        yield keys | {"tokens": DIFFERENCE}, name, difference


def measure_span_agreement(spans: Path, against: Path, responses: Path) -> Iterator[Measured]:
    """Agreement of one marker's spans with another's, over the responses that both inspected."""
    first, second = (read_marks(path, responses) for path in (spans, against))
    both = first.inspected & second.inspected
    masks = zip(first.masks, second.masks, strict=True)
    shared = np.array([np.count_nonzero(a & b) for a, b in masks], dtype=float) * both
    marked, marked_against, length = first.marked * both, second.marked * both, first.lengths * both
    n_spans, n_against = (np.array([len(spans) for spans in each.spans]) * both for each in (first, second))
    fractions = {
        "precision": (shared, marked),
        "precision_chance": (marked_against, length),
        "recall": (shared, marked_against),
        "recall_chance": (marked, length),
        "f1": (2 * shared, marked + marked_against),
        "span_precision": (first.count_overlapping(second) * both, n_spans),
        "span_recall": (second.count_overlapping(first) * both, n_against),
    }
    keys = {"version": first.version, "version_against": second.version}
    for name, (numerator, denominator) in fractions.items():
        yield keys, name, shares({name: numerator}, denominator)[name]
    parts = np.column_stack([marked, marked_against, shared, length])
    yield keys, "alpha", _bootstrap_totals(parts, length > 0, _alpha)


def _alpha(marked: np.ndarray, marked_against: np.ndarray, shared: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Krippendorff's alpha of two markers over characters, marked or not: 1 - observed / expected disagreement.

    Of 2 x length values, `ones` are marked; with two values per unit and two categories the expected disagreement is
    ones * zeros / (values - 1) (Krippendorff 2011). Undefined (NaN) if all values are the same.
    """
    ones, values = marked + marked_against, 2 * length
    return 1 - (values - 1) * (ones - 2 * shared) / (ones * (values - ones))


def read_marks(spans: Path, responses: Path) -> Marks:
    """Read and check a file of spans. Raises CloserlookError for a row of no response or outside its text."""
    texts = read_by_id(responses, "text")
    index = {id_: row for row, id_ in enumerate(texts)}
    masks = [np.zeros(len(text), dtype=bool) for text in texts.values()]
    marked: list[list[tuple[int, int, str]]] = [[] for _ in masks]
    inspected, nulls = np.ones(len(masks), dtype=bool), Counter[str]()
    rows = read_parquet(spans, columns=["id", "start", "end", "kind", "null_cause", "marker"]).to_pylist()
    for number, row in enumerate(rows):
        response = index.get(row["id"])
        start, end, kind, cause = (row[name] for name in ("start", "end", "kind", "null_cause"))
        is_span = cause is None and kind in KINDS and start is not None
        is_null = cause in CAUSES and start is None
        if response is None or not (is_null or (is_span and 0 <= start < end <= len(masks[response]))):
            values = f"id {row['id']!r}, start {start}, end {end}, kind {kind}, null_cause {cause}"
            raise CloserlookError(
                f"{spans}: row {number}: {values}: no span of {responses}; delete it and run its command again"
            )
        if cause is None:
            marked[response].append((start, end, kind))
            masks[response][start:end] = True
        else:
            nulls[cause] += 1
            inspected[response] &= cause == UNALIGNED
    version = " + ".join(sorted({row["marker"] for row in rows}))
    return Marks(list(texts), marked, masks, inspected, nulls, version)


def _marked_tokens(marks: Marks, starts: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """[tokens] bool: whether a token overlaps a span. A token ends where the next token with a later start begins."""
    marked = np.zeros(len(starts), dtype=bool)
    bounds = np.searchsorted(owner, np.arange(len(marks.ids) + 1))
    for mask, first, last in zip(marks.masks, bounds, bounds[1:], strict=False):
        begins = starts[first:last]
        ends = np.append(begins, len(mask))[np.searchsorted(begins, begins, side="right")]
        marked_before = np.concatenate([[0], np.cumsum(mask)])
        marked[first:last] = marked_before[ends] > marked_before[begins]
    return marked


def _bootstrap_totals(parts: np.ndarray, valid: np.ndarray, statistic: Callable[..., np.ndarray]) -> Estimate:
    """A statistic of column totals, with a bootstrap interval over responses; None where it is undefined.

    parts: [responses, columns] float64. valid: [responses] bool. statistic: from the totals of each column, [resamples] each,
    to values [resamples].
    """
    kept = parts[valid]
    return bootstrap([kept], lambda totals: statistic(*totals.T)[:, None], n_null=len(parts) - len(kept))[0]


_NULLS = tuple(metrics.SPAN_NULLS)


SPANS = Table(
    name="spans",
    title="Spans marked as hallucinated",
    caption=(
        "One row per cell and marker: how much of the responses the marker marked, and how many of the marked tokens "
        "are unshifted, marginal and shifted (section 5 of the paper). A positive difference means that marked tokens "
        "are in that class more often than all response tokens are."
    ),
    metrics=metrics.SPANS | metrics.SPAN_CLASSES | metrics.SPAN_NULLS,
    keys=("marker", "version", "tokens"),
    spread=("tokens",),
    sections={
        "Spans": tuple(metrics.SPANS),
        "Classes of tokens": tuple(metrics.SPAN_CLASSES),
        "Quotes and responses without a span, by cause": _NULLS,
    },
    asks_for="markers",
    parts=(
        Part(
            (*IDENTITY, "marker"),
            (Files.SPANS, Files.RESPONSES),
            measure_spans,
            (*metrics.SPANS, *_NULLS),
            controls=True,
            over=marked,
        ),
        Part(
            (*IDENTITY, "marker"),
            (Files.SPANS, Files.RESPONSES, Files.SHIFT),
            measure_span_classes,
            tuple(metrics.SPAN_CLASSES),
            keys={"tokens": (MARKED, ALL, DIFFERENCE)},
            over=marked,
        ),
    ),
)


SPAN_AGREEMENT = Table(
    name="span_agreement",
    title="Agreement of two markers of spans",
    caption=(
        "One row per cell and pair of markers: how well the marker's spans agree with those of the marker in against, "
        "counted in characters. Compare precision and recall with their levels by chance; alpha is 1 for equal marks "
        "and 0 for agreement by chance."
    ),
    metrics=metrics.SPAN_AGREEMENT,
    keys=("marker", "version", "against", "version_against"),
    asks_for="markers",
    at_least=2,
    parts=(
        Part(
            (*IDENTITY, "marker", "against"),
            (Files.SPANS, layout.spans("{cell}", "{evalset}", "{against}"), Files.RESPONSES),
            measure_span_agreement,
            tuple(metrics.SPAN_AGREEMENT),
            controls=True,
            over=marked_twice,
        ),
    ),
)
