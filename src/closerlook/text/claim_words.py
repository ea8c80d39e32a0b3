"""Words of a text with their places, sentence by sentence, as answers are compared."""

import re
import unicodedata
from bisect import bisect_right
from itertools import groupby

from closerlook.text.sentences import sentence_begins
from closerlook.text.words import Word

_RUN = re.compile(r"\S+")


def words_of(text: str) -> list[Word]:
    """What stands between blanks, without the punctuation around it: "1,000", "don't" and "3.5%" (3.5) are one word each, a dash
    by itself is none. Where phrases are looked up (closerlook.text.words), such numbers are two words.
    """
    words = []
    for run in _RUN.finditer(text):
        start, end = run.span()
        while start < end and not text[start].isalnum():
            start += 1
        while end > start and not (text[end - 1].isalnum() or unicodedata.category(text[end - 1])[0] == "M"):
            end -= 1
        if start < end:
            words.append(Word(text[start:end].casefold(), start, end))
    return words


def sentences_of(text: str) -> list[list[Word]]:
    """The words of each sentence that has any."""
    begins = sentence_begins(text) if text.strip() else []
    return [list(words) for _, words in groupby(words_of(text), key=lambda word: bisect_right(begins, word.start))]
