"""Find quotes in a text, although models change their whitespace, quotation marks, case, composition and invisible characters."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

Offsets = tuple[int, int]

_SIGNS = str.maketrans(
    dict.fromkeys("‘’‚‛′`´", "'") | dict.fromkeys("“”„‟″«»", '"') | dict.fromkeys("‐‑‒–—−", "-") | {"…": "..."}
)


def align(text: str, quotes: Sequence[str]) -> list[Offsets | None]:
    """For each quote, its (start, end) in `text` in code points; None if it does not occur.

    Exact matches precede matches with other whitespace, quotation marks, dashes, case, composition (NFC) or format characters
    (direction marks, soft hyphens). Matches of whole words precede others. A repeated quote is matched with its next occurrence,
    or the last one if there are no more.
    """
    normal = _NormalizedText(text)
    repetitions: Counter[str] = Counter()
    matches: list[Offsets | None] = []
    for quote in quotes:
        occurrences = _occurrences(text, normal, quote)
        key = normalize(quote)
        matches.append(occurrences[min(repetitions[key], len(occurrences) - 1)] if occurrences else None)
        repetitions[key] += 1
    return matches


def normalize(text: str) -> str:
    """A text in the form in which quotes are compared: casefolded, NFC, with plain quotation marks, dashes and single spaces."""
    return _NormalizedText(text).text.strip()


def _occurrences(text: str, normal: "_NormalizedText", quote: str) -> list[Offsets]:
    """All occurrences of a quote, by the strictest criterion that any meets."""
    exact = [match.span() for match in re.finditer(re.escape(quote.strip()), text)] if quote.strip() else []
    if whole := [offsets for offsets in exact if _is_whole_word(text, offsets)]:
        return whole
    tolerant = normal.find(normalize(quote))
    return [offsets for offsets in tolerant if _is_whole_word(text, offsets)] or exact or tolerant


def _is_whole_word(text: str, offsets: Offsets) -> bool:
    """Whether a range neither begins nor ends inside a word."""
    return not any(_is_inside_word(text, offset) for offset in offsets)


def _is_inside_word(text: str, offset: int) -> bool:
    around = text[max(0, offset - 1) : offset + 1]
    return 0 < offset < len(text) and all(character.isalnum() or _is_combining(character) for character in around)


def _is_combining(character: str) -> bool:
    """Whether a character can combine with the one before it: marks, and vowels and finals of Hangul."""
    return unicodedata.category(character)[0] == "M" or "\u1160" <= character <= "\u11ff"


class _NormalizedText:
    """A text normalized piece by piece, with the offsets of each normalized character's piece."""

    def __init__(self, text: str) -> None:
        pieces, self.starts, self.ends = list[str](), list[int](), list[int]()
        for start, end in _pieces(text):
            piece = " " if text[start].isspace() else _normalize_piece(text[start:end])
            pieces.append(piece)
            self.starts += [start] * len(piece)
            self.ends += [end] * len(piece)
        self.text = "".join(pieces)

    def find(self, phrase: str) -> list[Offsets]:
        """Occurrences of a normalized phrase that begin and end with a piece, so not half of a letter (the s of ß)."""
        matches = []
        start = self.text.find(phrase) if phrase else -1
        while start >= 0:
            end = start + len(phrase)
            if self._is_boundary(start) and self._is_boundary(end):
                matches.append((self.starts[start], self.ends[end - 1]))
                start = self.text.find(phrase, end)
            else:
                start = self.text.find(phrase, start + 1)
        return matches

    def _is_boundary(self, index: int) -> bool:
        return not 0 < index < len(self.text) or self.starts[index] != self.starts[index - 1]


def _pieces(text: str) -> Iterator[Offsets]:
    """Offsets of each character with the marks and format characters after it, or of each run of whitespace."""
    start = 0
    for index in range(1, len(text)):
        after_space, character = text[index - 1].isspace(), text[index]
        if not (character.isspace() if after_space else _is_combining(character) or _is_invisible(character)):
            yield start, index
            start = index
    if text:
        yield start, len(text)


def _normalize_piece(piece: str) -> str:
    visible = "".join(character for character in piece.translate(_SIGNS) if not _is_invisible(character))
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", visible).casefold())


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf"
