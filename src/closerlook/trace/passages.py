"""The words of a cell's responses, one after the other, and which of them tuning moved."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.spans.reading import read_places
from closerlook.text.words import Word, words_of


@dataclass(frozen=True)
class Passages:
    """Texts and their words: words[first[i]:first[i + 1]] are those of texts[i]. first: [texts + 1] int64."""

    ids: list[str]
    texts: list[str]
    words: list[Word]
    first: np.ndarray

    @classmethod
    def of(cls, ids: Sequence[str], texts: Sequence[str]) -> "Passages":
        """Split texts into words. Any text will do, also one without words."""
        words = [words_of(text) for text in texts]
        first = np.cumsum([0, *map(len, words)], dtype=np.int64)
        return cls(list(ids), list(texts), [word for some in words for word in some], first)

    @classmethod
    def read(cls, responses: Path) -> "Passages":
        """The responses of a cell."""
        table = read_parquet(responses, columns=["id", "text"])
        return cls.of(table["id"].to_pylist(), table["text"].to_pylist())

    def chosen(self, ids: Sequence[str]) -> "Passages":
        """The texts of these ids, in their order; one that is not there is empty."""
        text_of = dict(zip(self.ids, self.texts, strict=True))
        return Passages.of(ids, [text_of.get(identity, "") for identity in ids])

    @cached_property
    def owner(self) -> np.ndarray:
        """[words] int64: the text that each word stands in."""
        return np.repeat(np.arange(len(self.texts)), np.diff(self.first))

    @cached_property
    def left(self) -> np.ndarray:
        """[words] int64: how many words its text has from this one on."""
        return self.first[1:][self.owner] - np.arange(len(self.words))

    def spoken(self, text: int) -> list[str]:
        """The words of one text."""
        return [word.text for word in self.words[self.first[text] : self.first[text + 1]]]

    def within(self, text: int, start: int, end: int) -> tuple[int, int]:
        """The words [a, b) that characters [start, end) of a text touch, as places in `words`."""
        low, high = self.first[text], self.first[text + 1]
        some = self.words[low:high]
        touched = [i for i, word in enumerate(some, int(low)) if word.start < end and word.end > start]
        return (touched[0], touched[-1] + 1) if touched else (int(low), int(low))


def word_classes(passages: Passages, shift: Path) -> np.ndarray:
    """[words] str: the class of each word's first token, the one that holds its first character (section 4).

    Of several tokens that begin in that character (bytes of an emoji) the last counts that begins there: those before it may
    be special tokens, which have no text. Raises CloserlookError if `shift` is of other responses.
    """
    table = read_parquet(shift, columns=["id", "token_start", "class"])
    if table["id"].to_pylist() != passages.ids:
        raise CloserlookError(f"{shift}: its ids are not those of the responses; make both again")
    classes = np.empty(len(passages.words), dtype="<U9")
    for text, row in enumerate(table.select(["token_start", "class"]).to_pylist()):
        some = slice(passages.first[text], passages.first[text + 1])
        begins = [word.start for word in passages.words[some]]
        if begins and not row["token_start"]:
            raise CloserlookError(f"{shift}: response {passages.ids[text]} has words but no tokens; make both again")
        tokens = np.searchsorted(row["token_start"], begins, side="right") - 1
        classes[some] = np.asarray(row["class"], dtype="<U9")[tokens] if begins else ()
    return classes


def read_spans(path: Path, passages: Passages) -> list[tuple[int, int, int]]:
    """The marked spans of a SPANS file as (row of the response, start, end), each once. Raises as `read_places` does."""
    row_of = {identity: row for row, identity in enumerate(passages.ids)}
    places = read_places(path, dict(zip(passages.ids, passages.texts, strict=True)))
    return [(row_of[identity], *place) for identity, some in places.items() for place in some]
