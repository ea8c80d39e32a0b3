"""Reading responses with their instructions and marked spans, and the tokens of a span."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.text.words import rendered, words_of

Response = dict[str, Any]
"""A row of responses.parquet."""


class Span(NamedTuple):
    """Characters `start` to `end` of the response to the instruction `id`."""

    id: str
    start: int
    end: int


def read_instructions(evalset: Path, ids: Sequence[str]) -> list[str]:
    """The instructions that the responses with these ids answer. Raises CloserlookError if the evalset lacks one."""
    table = read_parquet(evalset, columns=["id", "instruction"])
    instructions = dict(zip(table["id"].to_pylist(), table["instruction"].to_pylist(), strict=True))
    if absent := next((id_ for id_ in ids if id_ not in instructions), None):
        raise CloserlookError(
            f"{evalset}: has no instruction {absent}, which was answered; generate the responses again"
        )
    return [instructions[id_] for id_ in ids]


def read_span_offsets(spans: Path, texts: Mapping[str, str]) -> dict[str, list[tuple[int, int]]]:
    """Start and end of each distinct span of a SPANS file by the id of its response, in the file's order.

    texts: of the responses, by id. Rows without a span are skipped. Raises CloserlookError for a span outside every response.
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
                "they are spans of other responses: mark the responses again"
            )
        offsets.setdefault(id_, {})[start, end] = None
    return {id_: list(of_response) for id_, of_response in offsets.items()}


def read_marked_responses(
    spans: Path, responses: Path, columns: Sequence[str] = ()
) -> Iterator[tuple[Response, list[Span]]]:
    """Every response that has spans, and its spans, in the spans' order. Columns: id, text, and `columns`.

    Raises CloserlookError for a span outside every response.
    """
    rows = {row["id"]: row for row in read_parquet(responses, columns=["id", "text", *columns]).to_pylist()}
    for id_, offsets in read_span_offsets(spans, {id_: row["text"] for id_, row in rows.items()}).items():
        yield rows[id_], [Span(id_, start, end) for start, end in offsets]


def words_only(text: str) -> str:
    """The words of a text without case and punctuation: it contains a phrase if `words_only(phrase) in words_only(text)`.

    A phrase without words is "", which is in every text: check for it first.
    """
    return rendered(word.text for word in words_of(text))


def tokens_of(starts: Sequence[int], length: int, start: int, end: int) -> range:
    """Indices of the tokens that contain a character of text[start:end]; empty if there are none.

    starts: the first character of each token (models.token_text.token_starts), never decreasing; length: of the text, in
    characters. A token that is part of a character starts at that character and contains it.
    """
    ends, latest = [0] * len(starts), length
    for token in reversed(range(len(starts))):
        if token + 1 < len(starts) and starts[token + 1] > starts[token]:
            latest = starts[token + 1]
        ends[token] = latest
    inside = [token for token in range(len(starts)) if starts[token] < end and ends[token] > start]
    return range(inside[0], inside[-1] + 1) if inside else range(0)


def parse_named_paths(pairs: Sequence[str], flag: str) -> dict[str, Path]:
    """The values of a flag, NAME=PATH, by name. Raises CloserlookError if a part is missing or a name is repeated."""
    paths = {name: Path(path) for name, _, path in (pair.partition("=") for pair in pairs) if name and path}
    if len(paths) < len(pairs):
        raise CloserlookError(f"{flag}: found {' '.join(pairs)}, expected NAME=PATH with different names")
    return paths
