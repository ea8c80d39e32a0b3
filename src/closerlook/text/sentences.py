"""The sentences of a text, with their tokens (for Figure 4) and words."""

from bisect import bisect_right
from itertools import groupby, pairwise

import sentencex

from closerlook.text.words import Word, claim_words_of


def sentence_columns(text: str, starts: list[int]) -> dict[str, list[int]]:
    """SHIFT's sentence, sentence_token and sentence_length. starts: the offset of each token in `text`.

    A token belongs to the sentence of its first visible character, since tokens include the space before them. A token of
    whitespace belongs to the preceding sentence. Sentences in which no token begins are not counted.
    """
    begins = sentence_begins(text)
    sentences = [
        bisect_right(begins, _first_visible(text, start, end)) for start, end in pairwise([*starts, len(text)])
    ]
    lengths = [len(list(group)) for _, group in groupby(sentences)]
    return {
        "sentence": [number for number, length in enumerate(lengths) for _ in range(length)],
        "sentence_token": [index for length in lengths for index in range(length)],
        "sentence_length": [length for length in lengths for _ in range(length)],
    }


def sentence_begins(text: str) -> list[int]:
    """Offsets at which the second and later sentences of `text` begin. Blank lines belong to the preceding sentence."""
    boundaries = sentencex.get_sentence_boundaries("en", text)
    return [sentence["start_index"] for sentence in boundaries if sentence["text"].strip()][1:]


def sentences_of(text: str) -> list[list[Word]]:
    """The claim words of each sentence that has some."""
    begins = sentence_begins(text) if text.strip() else []
    return [
        list(words) for _, words in groupby(claim_words_of(text), key=lambda word: bisect_right(begins, word.start))
    ]


def _first_visible(text: str, start: int, end: int) -> int:
    """Offset of the first character in text[start:end] that is not whitespace; `start` if there is none."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()) if piece.strip() else start
