"""The words of a text with their offsets: `words_of` for phrase search, `claim_words_of` for comparing claims."""

from collections.abc import Iterable
from typing import NamedTuple

import regex

# A letter or digit that begins a grapheme (UAX 29), and the characters of that grapheme before and after it. Words begin and end
# with a grapheme, so that an accent stays with its letter. Marks are included even if they form their own grapheme.
PREPEND = r"\p{GCB=Prepend}"
LETTER = r"[[\p{L}\p{N}]--[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{Extended_Pictographic}]]"
EXTEND = r"[\p{M}\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]"


def character_class(pattern: str) -> regex.Pattern[str]:
    """A compiled class of characters: PREPEND, LETTER or EXTEND."""
    return regex.compile(rf"(?V1){pattern}")


def word_pattern(prepend: str, letter: str, extend: str) -> str:
    """The regular expression of a word from three character classes, in syntax that Python and JavaScript share."""
    # The lookbehind makes a run of prepended characters match only as a whole, which keeps the time linear.
    grapheme = rf"(?:(?:(?<!{prepend}){prepend}+)?{letter}{extend}*)+"
    return rf"{grapheme}(?:['’-]{grapheme})*"


_WORD = character_class(word_pattern(PREPEND, LETTER, EXTEND))
_CLAIM_WORD = regex.compile(r"[\p{L}\p{N}](?:[^\s\x1c-\x1f]*[\p{L}\p{N}\p{M}])?")


class Word(NamedTuple):
    """A word of a text."""

    text: str
    """Casefolded, so its length can differ from end - start (ß becomes ss)."""
    start: int
    """Offset in the text, in code points."""
    end: int
    """Offset after its last code point."""


def words_of(text: str) -> list[Word]:
    """Maximal runs of letters, digits and marks, with single ' ’ - inside (don't, well-known). Graphemes are not split.

    In scripts without spaces (Chinese, Thai), a run between punctuation is one word.
    """
    return [Word(match[0].casefold(), *match.span()) for match in _WORD.finditer(text)]


def claim_words_of(text: str) -> list[Word]:
    """Runs between whitespace, without surrounding punctuation: "1,000", "don't" and "3.5%" (3.5) are one word each.

    Unlike `words_of`, this keeps numbers together, since claims are compared by their numbers.
    """
    return [Word(match[0].casefold(), *match.span()) for match in _CLAIM_WORD.finditer(text)]


def join_words(words: Iterable[str]) -> str:
    """Words joined by spaces, with a space at both ends, so that " a b " is a substring if b follows a; "" for no words."""
    joined = " ".join(words)
    return f" {joined} " if joined else ""
