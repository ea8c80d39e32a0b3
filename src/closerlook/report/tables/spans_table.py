"""The tables of marked spans: what they say and what they read."""

from collections.abc import Iterable, Iterator
from itertools import combinations

from closerlook.report.tables import metrics
from closerlook.report.tables.table import IDENTITY, Part, Row, Table, names_of

SPANS_FILE = "cells/{cell}/{evalset}/spans/{marker}.parquet"
OTHER_SPANS_FILE = "cells/{cell}/{evalset}/spans/{against}.parquet"
RESPONSES_FILE = "cells/{cell}/{evalset}/responses.parquet"
SHIFT_FILE = "cells/{cell}/{evalset}/shift.parquet"

_NULLS = tuple(metrics.SPAN_NULLS)


def marked(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell, evalset and marker, in `marker`."""
    return (row | {"marker": marker} for row in grid for marker in names_of(row, "markers"))


def marked_twice(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell, evalset and two markers: in `against` the one that the preset names first, such as the truth."""
    for row in grid:
        for against, marker in combinations(names_of(row, "markers"), 2):
            yield row | {"marker": marker, "against": against}


SPANS: dict[str, Table] = {
    "spans": Table(
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
                "closerlook.report.tables.spans:by_cell",
                (*metrics.SPANS, *_NULLS),
                controls=True,
                over=marked,
            ),
            Part(
                (*IDENTITY, "marker"),
                (SPANS_FILE, RESPONSES_FILE, SHIFT_FILE),
                "closerlook.report.tables.spans:by_class",
                tuple(metrics.SPAN_CLASSES),
                keys={"tokens": ("marked", "all", "difference")},
                over=marked,
            ),
        ),
    ),
    "span_agreement": Table(
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
                (SPANS_FILE, OTHER_SPANS_FILE, RESPONSES_FILE),
                "closerlook.report.tables.spans:agreement",
                tuple(metrics.SPAN_AGREEMENT),
                controls=True,
                over=marked_twice,
            ),
        ),
    ),
}
