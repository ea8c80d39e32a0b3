"""What every marker gives: spans of responses, and what gave none, as rows of SPANS."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from closerlook.core.files import read_parquet
from closerlook.spans.reading import read_instructions

KINDS = ("not factual", "not useful")
UNALIGNED = "unaligned"
CAUSES = (UNALIGNED, "refused", "unparsable", "error", "not marked")
"""Why a row has no span. An unaligned quote is one of a response that was marked; the others are of a whole response."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Response:
    """A response to an instruction."""

    id: str
    instruction: str
    text: str


class Span(NamedTuple):
    """`text[start:end]` of a response, in code points."""

    start: int
    end: int
    kind: str
    note: str | None = None
    origin: str | None = None


class Null(NamedTuple):
    """A response or a quote without a span, and one of CAUSES."""

    cause: str
    note: str | None = None
    quote: str | None = None


def read_responses(responses: Path, evalset: Path | None = None) -> list[Response]:
    """The responses in their order; their instructions are empty without an evalset.

    Raises CloserlookError where the evalset has no such instruction.
    """
    table = read_parquet(responses, columns=["id", "text"])
    ids, texts = table["id"].to_pylist(), table["text"].to_pylist()
    instructions = read_instructions(evalset, ids) if evalset else [""] * len(ids)
    return [Response(*row) for row in zip(ids, instructions, texts, strict=True)]


def rows_of(response: Response, marked: Iterable[Span | Null], marker: str) -> Rows:
    """The rows of one response: its spans in their order, each place once (as first marked), then what gave none."""
    spans: dict[tuple[int, int], Span] = {}
    nulls = []
    for mark in marked:
        if isinstance(mark, Span):
            spans.setdefault((mark.start, mark.end), mark)
        else:
            nulls.append(mark)
    blank = {"id": response.id, "marker": marker, "origin": None}
    rows: Rows = [
        blank | {"quote": response.text[s.start : s.end], "null_cause": None} | s._asdict()
        for _, s in sorted(spans.items())
    ]
    for null in nulls:
        said = {"quote": null.quote, "null_cause": null.cause, "note": null.note}
        rows.append(blank | {"start": None, "end": None, "kind": None} | said)
    return rows


def stored(text: str) -> str:
    """Text of a JSON file as it can be stored: JSON can spell half a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def summary(rows: Rows, responses: Sequence[Response]) -> str:
    """How many spans there are, in how many responses, and what gave none."""
    marked = [row for row in rows if row["null_cause"] is None]
    nulls = Counter(row["null_cause"] for row in rows if row["null_cause"])
    where = len({row["id"] for row in marked})
    told = [f"{len(marked):,} spans in {where:,} of {len(responses):,} responses"]
    return ", ".join([*told, *(f"{count:,} {cause}" for cause, count in nulls.most_common())])
