"""Sentences of a text, with their tokens (shift at the start of a sentence and after it: Figure 4) and their words."""

from bisect import bisect_right
from itertools import groupby, pairwise

import sentencex

from closerlook.text.words import Word, claim_words_of


def sentence_columns(text: str, starts: list[int]) -> dict[str, list[int]]:
    """SHIFT's sentence, sentence_token and sentence_length for tokens that begin at these characters of `text`.

    A token belongs to the sentence of its first visible character, since tokens include the space before them; a token of
    whitespace belongs to the sentence before it. Sentences in which no token begins are not counted.
    """
    begins = sentence_begins(text)
    found = [bisect_right(begins, _visible(text, start, end)) for start, end in pairwise([*starts, len(text)])]
    lengths = [len(list(group)) for _, group in groupby(found)]
    return {
        "sentence": [number for number, length in enumerate(lengths) for _ in range(length)],
        "sentence_token": [place for length in lengths for place in range(length)],
        "sentence_length": [length for length in lengths for _ in range(length)],
    }


def sentence_begins(text: str) -> list[int]:
    """Offsets at which the second and later sentences of `text` begin; blank lines belong to the sentence before them."""
    boundaries = sentencex.get_sentence_boundaries("en", text)
    return [piece["start_index"] for piece in boundaries if piece["text"].strip()][1:]


def sentences_of(text: str) -> list[list[Word]]:
    """The claim words of each sentence that has any."""
    begins = sentence_begins(text) if text.strip() else []
    return [
        list(words) for _, words in groupby(claim_words_of(text), key=lambda word: bisect_right(begins, word.start))
    ]


def _visible(text: str, start: int, end: int) -> int:
    """Offset of the first character in text[start:end] that is not whitespace, `start` where there is none."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()) if piece.strip() else start
