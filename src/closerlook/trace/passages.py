"""The words of a cell's responses in one sequence, and the shift class of each word."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.spans.inputs import read_span_offsets
from closerlook.text.words import Word, words_of


@dataclass(frozen=True)
class Passages:
    """Texts and their words: words[first[i]:first[i + 1]] are the words of texts[i]. first: [texts + 1] int64."""

    ids: list[str]
    texts: list[str]
    words: list[Word]
    first: np.ndarray

    @classmethod
    def from_texts(cls, ids: Sequence[str], texts: Sequence[str]) -> "Passages":
        """Split texts into words. A text may have no words."""
        words = [words_of(text) for text in texts]
        first = np.cumsum([0, *map(len, words)], dtype=np.int64)
        return cls(list(ids), list(texts), [word for text_words in words for word in text_words], first)

    @classmethod
    def read(cls, responses: Path) -> "Passages":
        """The responses of a cell."""
        table = read_parquet(responses, columns=["id", "text"])
        return cls.from_texts(table["id"].to_pylist(), table["text"].to_pylist())

    def select(self, ids: Sequence[str]) -> "Passages":
        """The texts with these ids, in the order of `ids`; the text of an unknown id is empty."""
        text_of = dict(zip(self.ids, self.texts, strict=True))
        return Passages.from_texts(ids, [text_of.get(identity, "") for identity in ids])

    @cached_property
    def text_of_word(self) -> np.ndarray:
        """[words] int64: the index of the text that contains each word."""
        return np.repeat(np.arange(len(self.texts)), np.diff(self.first))

    @cached_property
    def remaining(self) -> np.ndarray:
        """[words] int64: the number of words that its text has from this word on."""
        return self.first[1:][self.text_of_word] - np.arange(len(self.words))

    def text_words(self, text: int) -> list[str]:
        """The words of one text."""
        return [word.text for word in self.words[self.first[text] : self.first[text + 1]]]

    def word_range(self, text: int, start: int, end: int) -> tuple[int, int]:
        """The words [first, last) that overlap characters [start, end) of a text, as indices into `words`."""
        low, high = int(self.first[text]), int(self.first[text + 1])
        touched = [i for i in range(low, high) if self.words[i].start < end and self.words[i].end > start]
        return (touched[0], touched[-1] + 1) if touched else (low, low)


def word_classes(passages: Passages, shift: Path) -> np.ndarray:
    """[words] str: the class of each word's first token, the one that contains its first character (section 4).

    If several tokens start at that character (bytes of an emoji), the last of them counts: those before it may be special
    tokens, which have no text. Raises CloserlookError if `shift` is of other responses.
    """
    table = read_parquet(shift, columns=["id", "token_start", "class"])
    if table["id"].to_pylist() != passages.ids:
        raise CloserlookError(f"{shift}: its ids are not those of the responses; make both again")
    classes = np.empty(len(passages.words), dtype="<U9")
    for text, row in enumerate(table.select(["token_start", "class"]).to_pylist()):
        in_text = slice(passages.first[text], passages.first[text + 1])
        starts = [word.start for word in passages.words[in_text]]
        if starts and not row["token_start"]:
            raise CloserlookError(f"{shift}: response {passages.ids[text]} has words but no tokens; make both again")
        tokens = np.searchsorted(row["token_start"], starts, side="right") - 1
        classes[in_text] = np.asarray(row["class"], dtype="<U9")[tokens] if starts else ()
    return classes


def unshifted_words(passages: Passages, classes: np.ndarray | None) -> np.ndarray:
    """[words] bool: the words that the base model would have said itself. All of a control's, which has no classes."""
    return np.ones(len(passages.words), dtype=bool) if classes is None else classes == "unshifted"


def read_spans(path: Path, passages: Passages) -> list[tuple[int, int, int]]:
    """The distinct marked spans of a SPANS file as (row of the response, start, end). Raises as `read_span_offsets` does."""
    row_of = {identity: row for row, identity in enumerate(passages.ids)}
    offsets = read_span_offsets(path, dict(zip(passages.ids, passages.texts, strict=True)))
    return [(row_of[identity], start, end) for identity, spans in offsets.items() for start, end in spans]
