"""People as a marker: their spans, out of a file.

JSON, as the annotation page exports it: one object per annotator, or a list of such objects; each without a name is by another.

    {"version": 1, "annotator": "name",
     "annotations": [{"cell": "m/d@1k/sft", "evalset": "e", "id": "7", "start": 10, "end": 14,
                      "kind": "not factual" or "not useful", "origin": "id of an instance" or "none" or null}],
     "inspected": [{"cell": "m/d@1k/sft", "evalset": "e", "id": "7"}]}

`start` and `end` count code points of the response's text (an emoji is one), `end` lies behind the last. `origin` is the instance
that the annotator holds for the source: "none" for no instance, null if not asked. A response with an annotation is inspected,
named there or not.

CSV: the columns cell, evalset, id, start, end, kind, and maybe origin and annotator. A row whose start, end and kind are empty
says that the response was inspected and has no span.

Where several annotators inspected a response, spans are the runs of characters that more than half of them marked, of the kind
(and with the origin) that most of these named. To compare annotators (table span_agreement) give each a file and a marker.
"""

import csv
import io
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
from closerlook.core.files import read_text, sha256
from closerlook.spans.marks import KINDS, Null, Response, Rows, Span, rows_of, stored

logger = logging.getLogger(__name__)

VERSION = 1
COLUMNS = ("cell", "evalset", "id", "start", "end", "kind")
"""Of a CSV; `origin` and `annotator` may stand beside them."""


@dataclass(frozen=True)
class Entry:
    """One annotation, or (span None) one response that was inspected; `where` it stands in the file, for messages."""

    annotator: str
    cell: str
    evalset: str
    id: str
    span: Span | None
    where: str


Inspected = dict[str, list[Span]]
"""What each annotator marked in one response; an empty list: looked at, and found to be clean."""


def by_people(responses: Sequence[Response], file: Path, cell: str, evalset: str) -> Rows:
    """The spans that people marked in these responses; a response that nobody inspected is a null."""
    marker = f"human/{file.stem}@{sha256(file)[:8]}"
    found = inspected(responses, file, cell, evalset)
    rows: Rows = []
    for response in responses:
        marks = settled(found[response.id], response.text) if response.id in found else [Null("not marked")]
        rows += rows_of(response, marks, marker)
    return rows


def inspected(responses: Sequence[Response], file: Path, cell: str, evalset: str) -> dict[str, Inspected]:
    """What each annotator marked in each of these responses that somebody looked at.

    Raises CloserlookError, naming the place in the file, for an id without a response and for offsets outside its text.
    """
    lengths = {response.id: len(response.text) for response in responses}
    found: dict[str, Inspected] = {}
    entries = read(file)
    if not any((entry.cell, entry.evalset) == (cell, evalset) for entry in entries):
        others = dict.fromkeys(f"{entry.cell} on {entry.evalset}" for entry in entries)
        logger.warning(
            "%s: says nothing of %s on %s, so no response counts as marked; it is about %s",
            file,
            cell,
            evalset,
            ", ".join(others),
        )
    for entry in entries:
        if (entry.cell, entry.evalset) != (cell, evalset):
            continue
        if entry.id not in lengths:
            raise CloserlookError(
                f"{file}: {entry.where}: found id {entry.id!r}, expected that of a response of {cell} on {evalset}"
            )
        spans = found.setdefault(entry.id, {}).setdefault(entry.annotator, [])
        if entry.span:
            if entry.span.end > lengths[entry.id]:
                raise CloserlookError(
                    f"{file}: {entry.where}: found end {entry.span.end}, expected at most {lengths[entry.id]}, the length of "
                    f"the response to {entry.id!r}; was it generated again?"
                )
            spans.append(entry.span)
    return found


def settled(marked: Inspected, text: str) -> list[Span]:
    """The spans of the one annotator, or those of the majority of several."""
    annotators = list(marked.values())
    if len(annotators) == 1:
        return annotators[0]
    votes = Counter(
        place for spans in annotators for place in {i for span in spans for i in range(span.start, span.end)}
    )
    spans = []
    for wanted, run in groupby(range(len(text)), key=lambda place: 2 * votes[place] > len(annotators)):
        if wanted:
            places = list(run)
            start, end = places[0], places[-1] + 1
            over = [span for spans in annotators for span in spans if span.start < end and start < span.end]
            note = "; ".join(dict.fromkeys(span.note for span in over if span.note)) or None
            spans.append(
                Span(start, end, _most([span.kind for span in over]), note, _most([span.origin for span in over]))
            )
    return spans


def _most(values: list[Any]) -> Any:
    """The most frequent value, in doubt the first in order of the alphabet, none at last."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], value is None, value or ""))


def read(file: Path) -> list[Entry]:
    """All that a file says, of all cells. Raises CloserlookError with the file, the row, what was found and what was expected."""
    entries = list(_of_csv(file) if file.suffix.lower() == ".csv" else _of_json(file))
    if not entries:
        raise CloserlookError(f"{file}: found no annotation and no inspected response, expected at least one")
    return entries


def _of_json(file: Path) -> Iterator[Entry]:
    text = read_text(file, "annotations")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CloserlookError(f"{file}: cannot be read as JSON: {error}") from None
    exports = value if isinstance(value, list) else [value]
    for number, export in enumerate(exports, start=1):
        which = f"export {number}, " if isinstance(value, list) else ""
        if not isinstance(export, dict) or export.get("version") != VERSION:
            found = f"version {export.get('version')!r}" if isinstance(export, dict) else type(export).__name__
            raise CloserlookError(f"{file}: {which}found {found}, expected an object of version {VERSION}")
        annotator = str(export.get("annotator") or which)
        for name in ("annotations", "inspected"):
            rows = export.get(name, [])
            if not isinstance(rows, list):
                raise CloserlookError(f"{file}: {which}{name}: found {type(rows).__name__}, expected a list")
            for place, row in enumerate(rows, start=1):
                yield _entry(file, f"{which}{name} {place}", annotator, row, name == "annotations")


def _of_csv(file: Path) -> Iterator[Entry]:
    reader = csv.DictReader(io.StringIO(read_text(file, "annotations"), newline=""))
    try:
        rows = [(f"line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise CloserlookError(f"{file}: cannot be read as CSV: {error}") from None
    columns = reader.fieldnames or ()
    if absent := [name for name in COLUMNS if name not in columns]:
        raise CloserlookError(f"{file}: has no column {', '.join(absent)}, found {', '.join(columns) or 'nothing'}")
    for where, row in rows:
        if None in row or None in row.values():
            raise CloserlookError(f"{file}: {where}: expected one value for each of {', '.join(columns)}")
        is_span = bool(row["start"] or row["end"] or row["kind"])
        whole = {
            name: int(row[name]) if re.fullmatch("[0-9]{1,9}", row[name]) else row[name] for name in ("start", "end")
        }
        yield _entry(file, where, row.get("annotator") or "", row | whole, is_span)


def _entry(file: Path, where: str, annotator: str, row: Any, is_span: bool) -> Entry:
    """One row, checked for all that can be checked without its response."""
    if not isinstance(row, dict):
        raise CloserlookError(f"{file}: {where}: found {type(row).__name__}, expected an object")
    for name in COLUMNS[:3]:
        if not isinstance(row.get(name), str) or not row[name]:
            raise CloserlookError(f"{file}: {where}: found {name} {row.get(name)!r}, expected a name")
    span = _span(file, where, row) if is_span else None
    return Entry(annotator, row["cell"], row["evalset"], row["id"], span, where)


def _span(file: Path, where: str, row: dict[str, Any]) -> Span:
    start, end, kind, origin = row.get("start"), row.get("end"), row.get("kind"), row.get("origin") or None
    if type(start) is not int or type(end) is not int or not 0 <= start < end:
        raise CloserlookError(
            f"{file}: {where}: found start {start!r}, end {end!r}, expected whole numbers, 0 <= start < end"
        )
    if kind not in KINDS:
        raise CloserlookError(f"{file}: {where}: found kind {kind!r}, expected {nearest(str(kind), KINDS)}")
    if not isinstance(origin, str | None):
        raise CloserlookError(f"{file}: {where}: found origin {origin!r}, expected an instance's id, none or null")
    return Span(start, end, kind, None, origin and stored(origin))
