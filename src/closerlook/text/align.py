"""Where a quote occurs in a text: models change its whitespace, quotation marks, case and composition, and drop its invisible
characters."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

Place = tuple[int, int]

_SIGNS = str.maketrans(
    dict.fromkeys("‘’‚‛′`´", "'") | dict.fromkeys("“”„‟″«»", '"') | dict.fromkeys("‐‑‒–—−", "-") | {"…": "..."}
)


def align(text: str, quotes: Sequence[str]) -> list[Place | None]:
    """For each quote the (start, end) of its text in `text`, in code points; None where it is not there.

    An exact match comes before one with other whitespace, quotation marks, dashes, case, composition (NFC) or format
    characters (direction marks, soft hyphens); a match of whole words comes before one within words.
    A repeated quote means its next occurrence, or the last where none is left.
    """
    loose = _Loose(text)
    times: Counter[str] = Counter()
    places: list[Place | None] = []
    for quote in quotes:
        found = _occurrences(text, loose, quote)
        name = normalized(quote)
        places.append(found[min(times[name], len(found) - 1)] if found else None)
        times[name] += 1
    return places


def normalized(text: str) -> str:
    """A text as quotes are compared: case folded, composed, one kind of quotation mark and dash, single blanks, all visible."""
    return _Loose(text).text.strip()


def _occurrences(text: str, loose: "_Loose", quote: str) -> list[Place]:
    """All places of a quote in the first manner in which it is found."""
    exact = list(_find(text, quote.strip()))
    if whole := [place for place in exact if _whole(text, place)]:
        return whole
    tolerant = loose.find(normalized(quote))
    return [place for place in tolerant if _whole(text, place)] or exact or tolerant


def _find(text: str, phrase: str) -> Iterator[Place]:
    """Places that do not overlap."""
    start = text.find(phrase) if phrase else -1
    while start >= 0:
        yield start, start + len(phrase)
        start = text.find(phrase, start + len(phrase))


def _whole(text: str, place: Place) -> bool:
    """Whether a place begins and ends no word in its middle."""
    start, end = place
    return not (_joined(text, start) or _joined(text, end))


def _joined(text: str, at: int) -> bool:
    return 0 < at < len(text) and _in_word(text[at - 1]) and _in_word(text[at])


def _in_word(character: str) -> bool:
    return character.isalnum() or _continues(character)


def _continues(character: str) -> bool:
    """Whether a character can melt into the one before it: marks, and the vowels and finals of Hangul."""
    return unicodedata.category(character)[0] == "M" or "\u1160" <= character <= "\u11ff"


class _Loose:
    """A text normalized piece by piece, with the piece that each normalized character comes from."""

    def __init__(self, text: str) -> None:
        pieces, self.starts, self.ends = list[str](), list[int](), list[int]()
        for start, end in _pieces(text):
            piece = " " if text[start].isspace() else _normal(text[start:end])
            pieces.append(piece)
            self.starts += [start] * len(piece)
            self.ends += [end] * len(piece)
        self.text = "".join(pieces)

    def find(self, phrase: str) -> list[Place]:
        """Places of a normalized phrase that begin and end with a piece: half a letter (the s of ß) is none."""
        places = []
        start = self.text.find(phrase) if phrase else -1
        while start >= 0:
            end = start + len(phrase)
            if self._cut(start) and self._cut(end):
                places.append((self.starts[start], self.ends[end - 1]))
                start = self.text.find(phrase, end)
            else:
                start = self.text.find(phrase, start + 1)
        return places

    def _cut(self, at: int) -> bool:
        return not 0 < at < len(self.text) or self.starts[at] != self.starts[at - 1]


def _pieces(text: str) -> Iterator[Place]:
    """Offsets of each character with its marks and the format characters after it, or of each run of whitespace."""
    start = 0
    for at in range(1, len(text)):
        blank = text[at - 1].isspace()
        if not (text[at].isspace() if blank else _continues(text[at]) or _invisible(text[at])):
            yield start, at
            start = at
    if text:
        yield start, len(text)


def _normal(piece: str) -> str:
    seen = "".join(character for character in piece.translate(_SIGNS) if not _invisible(character))
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", seen).casefold())


def _invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf"
