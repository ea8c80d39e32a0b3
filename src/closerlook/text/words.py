"""Words of any text, with their offsets: `words_of` to look phrases up, `claim_words_of` to compare what answers claim."""

from collections.abc import Iterable
from typing import NamedTuple

import regex

# A letter or digit that begins a grapheme of its own (UAX 29), and what belongs to that grapheme before and after it: a word
# that began or ended elsewhere would tear an accent from its letter. Marks are included even where they form their own grapheme.
PREPEND = r"\p{GCB=Prepend}"
LETTER = r"[[\p{L}\p{N}]--[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{Extended_Pictographic}]]"
EXTEND = r"[\p{M}\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]"


def character_class(pattern: str) -> regex.Pattern[str]:
    """A class of characters, PREPEND, LETTER or EXTEND, compiled."""
    return regex.compile(rf"(?V1){pattern}")


def word_pattern(prepend: str, letter: str, extend: str) -> str:
    """The regular expression of a word over three classes of characters, in the syntax that Python and JavaScript share."""
    # Only a whole run of prepended characters is tried, so that a run of thousands is read once.
    grapheme = rf"(?:(?:(?<!{prepend}){prepend}+)?{letter}{extend}*)+"
    return rf"{grapheme}(?:['’-]{grapheme})*"


_WORD = character_class(word_pattern(PREPEND, LETTER, EXTEND))
_CLAIM_WORD = regex.compile(r"[\p{L}\p{N}](?:[^\s\x1c-\x1f]*[\p{L}\p{N}\p{M}])?")


class Word(NamedTuple):
    """A word of a text."""

    text: str
    """Casefolded: its length can differ from end - start (ß becomes ss)."""
    start: int
    """Offset in the text, in code points."""
    end: int
    """Offset after its last code point."""


def words_of(text: str) -> list[Word]:
    """Maximal runs of letters, digits and marks, with single ' ’ - inside (don't, well-known); no grapheme is ever split.

    Scripts without spaces (Chinese, Thai) give one word per run between punctuation.
    """
    return [Word(match[0].casefold(), *match.span()) for match in _WORD.finditer(text)]


def claim_words_of(text: str) -> list[Word]:
    """Runs between whitespace, without the punctuation around them: "1,000", "don't" and "3.5%" (3.5) are one word each.

    A contradiction compares numbers, so they stay whole; `words_of` splits them, since it looks phrases up.
    """
    return [Word(match[0].casefold(), *match.span()) for match in _CLAIM_WORD.finditer(text)]


def rendered(words: Iterable[str]) -> str:
    """Words as a text in which " a b " is found exactly where the words a, b follow each other; "" for no words."""
    joined = " ".join(words)
    return f" {joined} " if joined else ""
