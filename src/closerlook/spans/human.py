"""Spans marked by people, read from a JSON or CSV file.

JSON, as the annotation page exports it: an object per annotator, or a list of them. Objects without a name count as different
annotators.

    {"version": 1, "annotator": "name",
     "annotations": [{"cell": "m/d@1k/sft", "evalset": "e", "id": "7", "start": 10, "end": 14,
                      "kind": "not factual" or "not useful", "origin": "id of an instance" or "none" or null}],
     "inspected": [{"cell": "m/d@1k/sft", "evalset": "e", "id": "7"}]}

`start` and `end` are offsets in code points of the response's text; `end` is exclusive. `origin` is the instance that the
annotator considers the source: "none" for no instance, null if not asked. A response with an annotation counts as inspected.

CSV: the columns cell, evalset, id, start, end, kind, and optionally origin and annotator. A row with empty start, end and kind
means that the response was inspected and has no span.

If several annotators inspected a response, its spans are the runs of characters that more than half of them marked, with the most
frequent kind and origin. To compare annotators (table span_agreement), give each their own file and marker.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from closerlook.config.problems import nearest
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_csv, read_text, sha256
from closerlook.spans.marks import KINDS, MarkedSpan, Null, Response, Rows, span_rows, storable

logger = logging.getLogger(__name__)

VERSION = 1
COLUMNS = ("cell", "evalset", "id", "start", "end", "kind")
"""Required columns of a CSV; `origin` and `annotator` are optional."""


@dataclass(frozen=True)
class Entry:
    """An annotation, or an inspected response (span None). location: its position in the file, for messages."""

    annotator: str
    cell: str
    evalset: str
    id: str
    span: MarkedSpan | None
    location: str


Inspected = dict[str, list[MarkedSpan]]
"""The spans of a response by annotator; an empty list if it was inspected and has none."""


def mark_by_people(responses: Sequence[Response], file: Path, cell: str, evalset: str) -> Rows:
    """The spans that people marked in these responses, and a null for each response that nobody inspected."""
    marker = f"human/{file.stem}@{sha256(file)[:8]}"
    by_response = read_inspected(responses, file, cell, evalset)
    rows: Rows = []
    for response in responses:
        marked = by_response.get(response.id)
        marks = [Null("not marked")] if marked is None else majority_spans(marked, response.text)
        rows += span_rows(response, marks, marker)
    return rows


def read_inspected(responses: Sequence[Response], file: Path, cell: str, evalset: str) -> dict[str, Inspected]:
    """The spans of each inspected response, by annotator.

    Raises CloserlookError with the location in the file for an id without a response and for offsets outside its text.
    """
    lengths = {response.id: len(response.text) for response in responses}
    by_response: dict[str, Inspected] = {}
    entries = read(file)
    if not any((entry.cell, entry.evalset) == (cell, evalset) for entry in entries):
        others = dict.fromkeys(f"{entry.cell} on {entry.evalset}" for entry in entries)
        message = "%s: has no annotation of %s on %s, so no response counts as marked; it has annotations of %s"
        logger.warning(message, file, cell, evalset, ", ".join(others))
    for entry in entries:
        if (entry.cell, entry.evalset) != (cell, evalset):
            continue
        if entry.id not in lengths:
            raise CloserlookError(
                f"{file}: {entry.location}: found id {entry.id!r}, expected the id of a response of {cell} on {evalset}"
            )
        spans = by_response.setdefault(entry.id, {}).setdefault(entry.annotator, [])
        if entry.span:
            if entry.span.end > lengths[entry.id]:
                raise CloserlookError(
                    f"{file}: {entry.location}: found end {entry.span.end}, expected at most {lengths[entry.id]}, the length of "
                    f"the response to {entry.id!r}; was it generated again?"
                )
            spans.append(entry.span)
    return by_response


def majority_spans(marked: Inspected, text: str) -> list[MarkedSpan]:
    """The spans of a single annotator, or those of the majority of several."""
    annotators = list(marked.values())
    if len(annotators) == 1:
        return annotators[0]
    votes = Counter(i for spans in annotators for i in {i for span in spans for i in range(span.start, span.end)})
    spans = []
    for has_majority, run in groupby(range(len(text)), key=lambda i: 2 * votes[i] > len(annotators)):
        if has_majority:
            characters = list(run)
            start, end = characters[0], characters[-1] + 1
            overlapping = [span for spans in annotators for span in spans if span.start < end and start < span.end]
            note = "; ".join(dict.fromkeys(span.note for span in overlapping if span.note)) or None
            kind, origin = (_most_common([getattr(span, name) for span in overlapping]) for name in ("kind", "origin"))
            spans.append(MarkedSpan(start, end, kind, note, origin))
    return spans


def _most_common(values: list[Any]) -> Any:
    """The most frequent value; ties go to the first in alphabetical order, with None last."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value is None, value or ""))


def read(file: Path) -> list[Entry]:
    """All entries of a file, of all cells. Raises CloserlookError with the location, what was found and what was expected."""
    entries = list(_read_csv(file) if file.suffix.lower() == ".csv" else _read_json(file))
    if not entries:
        raise CloserlookError(f"{file}: found no annotation and no inspected response, expected at least one")
    return entries


def _read_json(file: Path) -> Iterator[Entry]:
    text = read_text(file, "annotations")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CloserlookError(f"{file}: cannot be read as JSON: {error}") from None
    exports = value if isinstance(value, list) else [value]
    for number, export in enumerate(exports, start=1):
        prefix = f"export {number}, " if isinstance(value, list) else ""
        if not isinstance(export, dict) or export.get("version") != VERSION:
            found = f"version {export.get('version')!r}" if isinstance(export, dict) else type(export).__name__
            raise CloserlookError(f"{file}: {prefix}found {found}, expected an object of version {VERSION}")
        annotator = str(export.get("annotator") or prefix)
        for name in ("annotations", "inspected"):
            rows = export.get(name, [])
            if not isinstance(rows, list):
                raise CloserlookError(f"{file}: {prefix}{name}: found {type(rows).__name__}, expected a list")
            for row_number, row in enumerate(rows, start=1):
                yield _entry(file, f"{prefix}{name} {row_number}", annotator, row, name == "annotations")


def _read_csv(file: Path) -> Iterator[Entry]:
    for line, row in read_csv(file, COLUMNS, "annotations"):
        is_span = bool(row["start"] or row["end"] or row["kind"])
        offsets = {
            name: int(row[name]) if re.fullmatch("[0-9]{1,9}", row[name]) else row[name] for name in ("start", "end")
        }
        yield _entry(file, f"line {line}", row.get("annotator") or "", row | offsets, is_span)


def _entry(file: Path, location: str, annotator: str, row: Any, is_span: bool) -> Entry:
    """An entry from a row, after all checks that do not need the response."""
    if not isinstance(row, dict):
        raise CloserlookError(f"{file}: {location}: found {type(row).__name__}, expected an object")
    for name in COLUMNS[:3]:
        if not isinstance(row.get(name), str) or not row[name]:
            raise CloserlookError(f"{file}: {location}: found {name} {row.get(name)!r}, expected a name")
    span = _span(file, location, row) if is_span else None
    return Entry(annotator, row["cell"], row["evalset"], row["id"], span, location)


def _span(file: Path, location: str, row: dict[str, Any]) -> MarkedSpan:
    start, end, kind, origin = row.get("start"), row.get("end"), row.get("kind"), row.get("origin") or None
    if type(start) is not int or type(end) is not int or not 0 <= start < end:
        raise CloserlookError(
            f"{file}: {location}: found start {start!r}, end {end!r}, expected whole numbers, 0 <= start < end"
        )
    if kind not in KINDS:
        raise CloserlookError(f"{file}: {location}: found kind {kind!r}, expected {nearest(str(kind), KINDS)}")
    if not isinstance(origin, str | None):
        raise CloserlookError(f"{file}: {location}: found origin {origin!r}, expected an instance's id, none or null")
    return MarkedSpan(start, end, kind, None, origin and storable(origin))
