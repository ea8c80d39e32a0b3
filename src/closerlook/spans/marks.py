"""The results of markers: spans of responses, or reasons for their absence, as rows of SPANS."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from closerlook.core.files import read_parquet
from closerlook.spans.inputs import read_instructions

KINDS = ("not factual", "not useful")
UNALIGNED = "unaligned"
CAUSES = (UNALIGNED, "refused", "unparsable", "error", "not marked")
"""Reasons for a row without a span. `unaligned` concerns a quote, the others a whole response."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Response:
    """A response to an instruction."""

    id: str
    instruction: str
    text: str


class MarkedSpan(NamedTuple):
    """`text[start:end]` of a response, in code points."""

    start: int
    end: int
    kind: str
    note: str | None = None
    origin: str | None = None


class Null(NamedTuple):
    """A response or quote without a span. cause: one of CAUSES."""

    cause: str
    note: str | None = None
    quote: str | None = None


def read_responses(responses: Path, evalset: Path | None = None) -> list[Response]:
    """The responses in the file's order, with empty instructions if there is no evalset.

    Raises CloserlookError if the evalset lacks an instruction.
    """
    table = read_parquet(responses, columns=["id", "text"])
    ids, texts = table["id"].to_pylist(), table["text"].to_pylist()
    instructions = read_instructions(evalset, ids) if evalset else [""] * len(ids)
    return [Response(*row) for row in zip(ids, instructions, texts, strict=True)]


def span_rows(response: Response, marked: Iterable[MarkedSpan | Null], marker: str) -> Rows:
    """The rows of a response: its distinct spans by position (of equal ones, the first), then its nulls."""
    spans: dict[tuple[int, int], MarkedSpan] = {}
    nulls = []
    for mark in marked:
        if isinstance(mark, MarkedSpan):
            spans.setdefault((mark.start, mark.end), mark)
        else:
            nulls.append(mark)
    blank = {"id": response.id, "marker": marker, "origin": None}
    rows: Rows = [
        blank | {"quote": response.text[span.start : span.end], "null_cause": None} | span._asdict()
        for _, span in sorted(spans.items())
    ]
    for null in nulls:
        reason = {"quote": null.quote, "null_cause": null.cause, "note": null.note}
        rows.append(blank | {"start": None, "end": None, "kind": None} | reason)
    return rows


def storable(text: str) -> str:
    """Text without lone surrogates, which JSON can express but UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()


def summary(rows: Rows, responses: Sequence[Response]) -> str:
    """A line with the number of spans, of responses with spans, and of nulls by cause."""
    spans = [row for row in rows if row["null_cause"] is None]
    nulls = Counter(row["null_cause"] for row in rows if row["null_cause"])
    marked = len({row["id"] for row in spans})
    counts = [f"{len(spans):,} spans in {marked:,} of {len(responses):,} responses"]
    return ", ".join([*counts, *(f"{count:,} {cause}" for cause, count in nulls.most_common())])
