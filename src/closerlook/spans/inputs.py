"""Read responses with their instructions and marked spans, and find the tokens of a span."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_by_id, read_parquet
from closerlook.text.words import join_words, words_of

ResponseRow = dict[str, Any]
"""A row of responses.parquet."""


class Span(NamedTuple):
    """text[start:end] of the response to the instruction `id`, in code points."""

    id: str
    start: int
    end: int


def read_instructions(evalset: Path, ids: Sequence[str]) -> list[str]:
    """The instructions that the responses with these ids answer. Raises CloserlookError if the evalset lacks one."""
    instructions = read_by_id(evalset, "instruction")
    if absent := next((id_ for id_ in ids if id_ not in instructions), None):
        raise CloserlookError(
            f"{evalset}: has no instruction {absent}, but there is a response to it; generate the responses again"
        )
    return [instructions[id_] for id_ in ids]


def read_span_offsets(spans: Path, texts: Mapping[str, str]) -> dict[str, list[tuple[int, int]]]:
    """Start and end of each distinct span of a SPANS file by the id of its response, in the file's order.

    texts: the responses by id. Rows without a span are skipped. Raises CloserlookError for a span outside of its response.
    """
    offsets: dict[str, dict[tuple[int, int], None]] = {}
    for row in read_parquet(spans, columns=["id", "start", "end"]).to_pylist():
        id_, start, end = row["id"], row["start"], row["end"]
        if start is None:
            continue
        if id_ not in texts:
            raise CloserlookError(f"{spans}: found a span of {id_}, which has no response; mark the responses again")
        if not 0 <= start < end <= len(texts[id_]):
            raise CloserlookError(
                f"{spans}: found characters {start} to {end} of {id_}, a response of {len(texts[id_])} characters; "
                "the spans are those of other responses: mark the responses again"
            )
        offsets.setdefault(id_, {})[start, end] = None
    return {id_: list(response_offsets) for id_, response_offsets in offsets.items()}


def read_marked_responses(
    spans: Path, responses: Path, columns: Sequence[str] = ()
) -> Iterator[tuple[ResponseRow, list[Span]]]:
    """Every response that has spans, with its spans, in the order of the spans. columns: to read in addition to id and text.

    Raises CloserlookError for a span outside of its response.
    """
    rows = {row["id"]: row for row in read_parquet(responses, columns=["id", "text", *columns]).to_pylist()}
    for id_, offsets in read_span_offsets(spans, {id_: row["text"] for id_, row in rows.items()}).items():
        yield rows[id_], [Span(id_, start, end) for start, end in offsets]


def words_only(text: str) -> str:
    """The words of a text, casefolded and without punctuation.

    A text contains a phrase if words_only(phrase) in words_only(text). A phrase without words gives "", which is in every text.
    """
    return join_words(word.text for word in words_of(text))


def token_range(starts: Sequence[int], length: int, start: int, end: int) -> range:
    """Indices of the tokens that contain a character of text[start:end]; may be empty.

    starts: offset of each token (models.token_text.token_starts). length: of the text, in characters. A token that is part of a
    character starts at that character and contains it.
    """
    ends, latest = [0] * len(starts), length
    for token in reversed(range(len(starts))):
        if token + 1 < len(starts) and starts[token + 1] > starts[token]:
            latest = starts[token + 1]
        ends[token] = latest
    inside = [token for token in range(len(starts)) if starts[token] < end and ends[token] > start]
    return range(inside[0], inside[-1] + 1) if inside else range(0)
