"""Words of any text, with their places, so that phrases can be looked up whole and with case ignored."""

from collections.abc import Iterable
from typing import NamedTuple

import regex

# A letter or digit that begins a grapheme of its own (UAX 29), and whatever belongs to that grapheme before and behind it; a word
# that began or ended elsewhere would tear an accent from its letter. Marks are taken along even where they stand for themselves.
_CORE = r"[[\p{L}\p{N}]--[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{Extended_Pictographic}]]"
_BEFORE = r"(?<!\p{GCB=Prepend})\p{GCB=Prepend}++"  # all of them, so that a run of thousands is looked through but once
_BEHIND = r"[\p{M}\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]"
_GRAPHEMES = rf"(?:(?:{_BEFORE})?{_CORE}{_BEHIND}*)+"
_WORD = regex.compile(rf"(?V1){_GRAPHEMES}(?:['’-]{_GRAPHEMES})*")


class Word(NamedTuple):
    """A word of a text."""

    text: str
    """Casefolded: its length can differ from end - start (ß becomes ss)."""
    start: int
    """Offset in the text as it stands, in code points."""
    end: int
    """Behind its last code point."""


def words_of(text: str) -> list[Word]:
    """Maximal runs of letters, digits and marks, with single ' ’ - inside (don't, well-known); no grapheme is ever split.

    Scripts without spaces (Chinese, Thai) give one word per run between punctuation.
    """
    return [Word(match[0].casefold(), *match.span()) for match in _WORD.finditer(text)]


def rendered(words: Iterable[str]) -> str:
    """Words as a text in which " a b " is found exactly where the words a, b stand beside each other; "" for no words."""
    joined = " ".join(words)
    return f" {joined} " if joined else ""
