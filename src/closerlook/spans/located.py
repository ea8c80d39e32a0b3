"""Marked spans of responses, as characters and as the tokens that they lie in."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.spans.reading import read_places
from closerlook.text.words import rendered, words_of

Response = dict[str, Any]
"""A row of responses.parquet."""


class Span(NamedTuple):
    """Characters `start` to `end` of the response to the instruction `id`."""

    id: str
    start: int
    end: int


def with_responses(spans: Path, responses: Path, columns: Sequence[str] = ()) -> Iterator[tuple[Response, list[Span]]]:
    """Every response that has spans, with them, in the spans' order. Columns: id, text, and those named.

    Raises CloserlookError for a span that lies in no response.
    """
    answers = {row["id"]: row for row in read_parquet(responses, columns=["id", "text", *columns]).to_pylist()}
    places = read_places(spans, {id_: row["text"] for id_, row in answers.items()})
    for id_, some in places.items():
        yield answers[id_], [Span(id_, start, end) for start, end in some]


def in_words(text: str) -> str:
    """A text as its words alone, case ignored: where it holds a phrase in whole words, `in_words(phrase) in in_words(text)`.

    A phrase without words is "", which stands in everything and says nothing.
    """
    return rendered(word.text for word in words_of(text))


def tokens_of(starts: Sequence[int], length: int, start: int, end: int) -> range:
    """Places of the tokens that hold a character of text[start:end]; none where the text has no token there.

    starts: where each token begins (models.text.token_starts), never decreasing; length: of the text, in characters. A token
    that is a part of a character begins where that character does, and holds it.
    """
    ends, latest = [0] * len(starts), length
    for place in reversed(range(len(starts))):
        if place + 1 < len(starts) and starts[place + 1] > starts[place]:
            latest = starts[place + 1]
        ends[place] = latest
    inside = [place for place in range(len(starts)) if starts[place] < end and ends[place] > start]
    return range(inside[0], inside[-1] + 1) if inside else range(0)


def named(pairs: Sequence[str], flag: str) -> dict[str, Path]:
    """The paths that a flag gives as NAME=PATH, by name. Raises CloserlookError where one is missing or a name comes twice."""
    found = {name: Path(path) for name, _, path in (pair.partition("=") for pair in pairs) if name and path}
    if len(found) < len(pairs):
        raise CloserlookError(f"{flag}: found {' '.join(pairs)}, expected NAME=PATH with different names")
    return found
