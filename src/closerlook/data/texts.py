"""General text in pieces: the first ones of a source, or drawn ones, with the pieces counted that are left out."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from closerlook.config.problems import nearest
from closerlook.config.settings import FileSource
from closerlook.config.source_files import RowSource
from closerlook.config.texts import COLUMN, PIECES, is_plain
from closerlook.core.errors import CloserlookError
from closerlook.core.schemas import TEXT
from closerlook.data.formats import MalformedError, text_field
from closerlook.data.instances import read_as
from closerlook.data.sources import Rows, describe, provenance, read_plain, read_rows
from closerlook.data.tally import Tally

REASONS = ("malformed", "empty", "duplicate", "not_drawn")
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")


def prepare_text(
    source: RowSource,
    column: str = COLUMN,
    separator: str | None = None,
    pieces: int = PIECES,
    draw: int | None = None,
) -> tuple[pa.Table, dict[str, Any], str]:
    """Read pieces of a text. Returns the table (schema TEXT), its report and a one-line summary.

    column: that of the text, in sources with rows. separator: what is between the pieces of a .txt; None for blank lines. pieces:
    most pieces; without a draw the first ones, and nothing after them is read. draw: seed of a draw from all pieces, which does
    not depend on their order. Pieces that are malformed, empty or repeat an earlier one are dropped and counted. Raises
    CloserlookError if no piece is left.
    """
    tally, seen = Tally(REASONS), set[str]()
    kept: list[tuple[int, str]] = []
    for row, record in _records(source, separator, whole=draw is not None):
        try:
            text = _text_of(record, column)
        except MalformedError as error:
            tally.drop("malformed", row, str(error))
            continue
        if not text:
            tally.drop("empty", row)
        elif text in seen:
            tally.drop("duplicate", row)
        else:
            seen.add(text)
            kept.append((row, text))
            if draw is None and len(kept) == pieces:
                break
    if draw is not None:
        kept.sort(key=lambda piece: hashlib.sha256(f"{draw}:{piece[1]}".encode()).digest())
    for row, _ in kept[pieces:]:
        tally.drop("not_drawn", row)
    chosen = sorted(kept[:pieces])
    for row, _ in chosen:
        tally.keep(row)
    if not chosen:
        raise CloserlookError(f"{describe(source)}: no piece of text: {tally}")
    table = pa.Table.from_pylist([{"id": str(row), "text": text} for row, text in chosen], schema=TEXT)
    selection = {"column": column, "separator": separator, "pieces": pieces, "draw": draw}
    return table, {"source": provenance(source), **selection, **tally.report()}, str(tally)


def read_pieces(file: Path) -> pa.Table:
    """The pieces of a prepared text (.parquet, schema TEXT), or the first ones that `prepare_text` finds in another file."""
    return read_as(TEXT, file) if file.suffix == ".parquet" else prepare_text(FileSource(file=str(file)))[0]


def _records(source: RowSource, separator: str | None, whole: bool) -> Rows:
    if isinstance(source, FileSource) and is_plain(source.file):
        return _pieces_of(read_plain(Path(source.file)), separator)
    return read_rows(source, streaming=not whole)


def _pieces_of(text: str, separator: str | None) -> Iterator[tuple[int, dict[str, str]]]:
    parts = _BLANK_LINES.split(text.strip()) if separator is None else text.strip().split(separator)
    return enumerate({COLUMN: part} for part in parts)


def _text_of(record: Any, column: str) -> str:
    if not isinstance(record, dict):
        raise MalformedError("not an object" if record is not None else "does not parse")
    if column not in record:
        raise MalformedError(f"{column}: no such column, expected {nearest(column, map(str, record))}")
    return text_field(record, column).strip()
