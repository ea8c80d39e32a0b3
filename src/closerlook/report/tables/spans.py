"""What markers marked in a cell's responses: how much, on which tokens, and how well two markers agree."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.core.schemas import CLASSES
from closerlook.report.tables import metrics
from closerlook.report.tables.lists import Tokens
from closerlook.report.tables.selection import marked, marked_twice
from closerlook.report.tables.table import IDENTITY, RESPONSES_FILE, SHIFT_FILE, SPANS_FILE, Measured, Part, Table
from closerlook.spans.marks import CAUSES, KINDS, UNALIGNED
from closerlook.stats.bootstrap import Estimate, bootstrap, ratios

MARKED, ALL, DIFFERENCE = "marked", "all", "difference"
"""Whose classes: tokens of spans, all response tokens, and the former's share less the latter's."""


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


def measure_spans(spans: Path, responses: Path) -> Iterator[Measured]:
    """Responses inspected and marked, spans per response, characters marked, and what gave no span, by cause."""
    marks = read_marks(spans, responses)
    keys = {"version": marks.version}
    n = int(marks.inspected.sum())
    counted = {"n": n, "n_null": len(marks.ids) - n}
    yield keys, "inspected", Estimate(float(n), **counted)
    found = [[len(one), *(sum(kind == k for *_, kind in one) for k in KINDS)] for one in marks.spans]
    counts = np.array(found, dtype=np.float64).reshape(-1, 1 + len(KINDS))
    per_response = np.column_stack([counts[:, 0] > 0, counts])
    names = ("marked", "spans", *(f"spans_{kind.replace(' ', '_')}" for kind in KINDS))
    for name, mean in zip(names, ratios(per_response, marks.inspected[:, None]), strict=True):
        yield keys, name, mean
    yield keys, "characters", _ratio(_sums(marks.masks), _lengths(marks) * marks.inspected)
    for cause in CAUSES:
        yield keys, f"null_{cause.replace(' ', '_')}", Estimate(float(marks.nulls[cause]), **counted)


def measure_span_classes(spans: Path, responses: Path, shift: Path) -> Iterator[Measured]:
    """Shares of unshifted, marginal and shifted tokens among those of spans, among all, and the difference (section 5)."""
    marks = read_marks(spans, responses)
    if read_parquet(shift, columns=["id"])["id"].to_pylist() != marks.ids:
        raise CloserlookError(f"{shift}: holds other responses than {responses}; delete it and run its command again")
    tokens = Tokens(shift, ["class", "token_start"])
    marked = _marked_tokens(marks, tokens["token_start"].astype(np.int64), tokens.owner)
    classes, looked_at = tokens["class"], marks.inspected[tokens.owner]
    of_class = {name: classes == name for name in CLASSES} | {"shifted_or_marginal": classes != "unshifted"}
    keys = {"version": marks.version}
    sums = {}
    for tokens_of, chosen in ((MARKED, marked & looked_at), (ALL, looked_at)):
        count = tokens.total(chosen)
        sums[tokens_of] = np.column_stack([*(tokens.total(chosen & inside) for inside in of_class.values()), count])
        for name, share in zip(of_class, ratios(sums[tokens_of][:, :-1], count[:, None]), strict=True):
            yield keys | {"tokens": tokens_of}, name, share
        filled = int(np.count_nonzero(count))
        yield keys | {"tokens": tokens_of}, "tokens", Estimate(float(count.sum()), n=filled, n_null=len(count) - filled)
    there = sums[ALL][:, -1] > 0
    for column, name in enumerate(of_class):
        parts = np.column_stack([sums[which][:, [column, -1]] for which in (MARKED, ALL)])
        yield keys | {"tokens": DIFFERENCE}, name, _resampled(parts, there, lambda m, n, a, b: m / n - a / b)


def measure_span_agreement(spans: Path, against: Path, responses: Path) -> Iterator[Measured]:
    """How one marker's spans compare with another's, over the responses that both inspected."""
    one, other = (read_marks(path, responses) for path in (spans, against))
    both = one.inspected & other.inspected
    keys = {"version": one.version, "version_against": other.version}
    marked, wanted = _sums(one.masks) * both, _sums(other.masks) * both
    shared = (
        np.array([np.count_nonzero(a & b) for a, b in zip(one.masks, other.masks, strict=True)], dtype=float) * both
    )
    length = _lengths(one) * both
    hits, missed = (_overlapping(a, b) * both for a, b in ((one, other), (other, one)))
    spans_of, spans_wanted = (np.array([len(found) for found in m.spans], dtype=float) * both for m in (one, other))
    yield keys, "precision", _ratio(shared, marked)
    yield keys, "precision_chance", _ratio(wanted, length)
    yield keys, "recall", _ratio(shared, wanted)
    yield keys, "recall_chance", _ratio(marked, length)
    yield keys, "f1", _ratio(2 * shared, marked + wanted)
    yield keys, "span_precision", _ratio(hits, spans_of)
    yield keys, "span_recall", _ratio(missed, spans_wanted)
    yield keys, "alpha", _resampled(np.column_stack([marked, wanted, shared, length]), length > 0, _alpha)


def _alpha(marked: np.ndarray, wanted: np.ndarray, shared: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Krippendorff's alpha of two markers over characters, marked or not: 1 - observed / expected disagreement.

    Of 2 x length values, `ones` are marked; with two values per unit and two categories the expected disagreement is
    ones * zeros / (values - 1) (Krippendorff 2011). Undefined (NaN) where all values are the same.
    """
    ones, values = marked + wanted, 2 * length
    return 1 - (values - 1) * (ones - 2 * shared) / (ones * (values - ones))


def read_marks(spans: Path, responses: Path) -> Marks:
    """Read and check a file of spans. Raises CloserlookError where a row belongs to no response or lies outside its text."""
    answers = read_parquet(responses, columns=["id", "text"]).to_pydict()
    place = {id_: row for row, id_ in enumerate(answers["id"])}
    masks = [np.zeros(len(text), dtype=bool) for text in answers["text"]]
    found: list[list[tuple[int, int, str]]] = [[] for _ in masks]
    inspected, nulls = np.ones(len(masks), dtype=bool), Counter[str]()
    rows = read_parquet(spans, columns=["id", "start", "end", "kind", "null_cause", "marker"]).to_pylist()
    for number, row in enumerate(rows):
        response, (start, end, kind, cause) = (
            place.get(row["id"]),
            (row[c] for c in ("start", "end", "kind", "null_cause")),
        )
        if response is None or not (
            cause in CAUSES
            if start is None
            else cause is None and kind in KINDS and 0 <= start < end <= len(masks[response])
        ):
            told = f"id {row['id']!r}, start {start}, end {end}, kind {kind}, null_cause {cause}"
            raise CloserlookError(
                f"{spans}: row {number}: {told}: no span of {responses}; delete it and run its command again"
            )
        if cause is None:
            found[response].append((start, end, kind))
            masks[response][start:end] = True
        else:
            nulls[cause] += 1
            inspected[response] &= cause == UNALIGNED
    version = " + ".join(sorted({row["marker"] for row in rows}))
    return Marks(answers["id"], found, masks, inspected, nulls, version)


def _marked_tokens(marks: Marks, starts: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """[tokens] bool: whether a token overlaps a span. A token reaches up to where the next one begins that begins later."""
    marked = np.zeros(len(starts), dtype=bool)
    bounds = np.searchsorted(owner, np.arange(len(marks.ids) + 1))
    for mask, first, last in zip(marks.masks, bounds, bounds[1:], strict=False):
        begins = starts[first:last]
        ends = np.append(begins, len(mask))[np.searchsorted(begins, begins, side="right")]
        until = np.concatenate([[0], np.cumsum(mask)])
        marked[first:last] = until[ends] > until[begins]
    return marked


def _overlapping(marks: Marks, others: Marks) -> np.ndarray:
    """[responses] float64: how many spans share a character with one of the other marker."""
    pairs = zip(marks.spans, others.masks, strict=True)
    return np.array([sum(bool(mask[start:end].any()) for start, end, _ in spans) for spans, mask in pairs], dtype=float)


def _sums(masks: list[np.ndarray]) -> np.ndarray:
    return np.array([np.count_nonzero(mask) for mask in masks], dtype=np.float64)


def _lengths(marks: Marks) -> np.ndarray:
    return np.array([len(mask) for mask in marks.masks], dtype=np.float64)


def _ratio(sums: np.ndarray, counts: np.ndarray) -> Estimate:
    return ratios(sums[:, None], counts[:, None])[0]


def _resampled(parts: np.ndarray, there: np.ndarray, statistic: Callable[..., np.ndarray]) -> Estimate:
    """A statistic of column sums, with a bootstrap interval over responses; None where it is undefined.

    parts: [responses, columns] float64; statistic: from the sums of each column [some] to values [some]. there: [responses] bool.
    """
    kept = parts[there]
    return bootstrap([kept], lambda totals: statistic(*totals.T)[:, None], n_null=len(parts) - len(kept))[0]


_NULLS = tuple(metrics.SPAN_NULLS)


SPANS = Table(
    title="Spans marked as hallucinated",
    caption=(
        "What each marker marked in the responses it could inspect: how many have a span, how many spans per response, what "
        "share of the characters (overlaps once). For tuned cells the classes of the spans' tokens (those that overlap one; "
        "section 5: about 89% shifted or marginal) beside those of all response tokens, which is what marking at random "
        "would give, and the difference. Unaligned: quotes of a judge that do not stand in the response. Refused, "
        "unparsable, error, not marked: responses that were not inspected; they are left out of all else."
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
            (SPANS_FILE, RESPONSES_FILE),
            measure_spans,
            (*metrics.SPANS, *_NULLS),
            controls=True,
            over=marked,
        ),
        Part(
            (*IDENTITY, "marker"),
            (
                SPANS_FILE,
                RESPONSES_FILE,
                SHIFT_FILE,
            ),
            measure_span_classes,
            tuple(metrics.SPAN_CLASSES),
            keys={"tokens": ("marked", "all", "difference")},
            over=marked,
        ),
    ),
)


SPAN_AGREEMENT = Table(
    title="Agreement of two markers of spans",
    caption=(
        "The spans of one marker against those of another (the one named first in the preset: put the truth there), over "
        "the responses that both inspected. Precision: share of the characters it marks that the other marks too; by chance: "
        "share of all characters that the other marks, the precision of marking at random. Recall: share of the other's "
        "characters that it marks; by chance: share of all characters that it marks. Spans: those of the one that share a "
        "character with one of the other. Alpha: Krippendorff's over characters (1: the same marked, 0: as by chance)."
    ),
    metrics=metrics.SPAN_AGREEMENT,
    keys=("marker", "version", "against", "version_against"),
    asks_for="markers",
    at_least=2,
    parts=(
        Part(
            (*IDENTITY, "marker", "against"),
            (
                SPANS_FILE,
                layout.spans("{cell}", "{evalset}", "{against}"),
                RESPONSES_FILE,
            ),
            measure_span_agreement,
            tuple(metrics.SPAN_AGREEMENT),
            controls=True,
            over=marked_twice,
        ),
    ),
)
