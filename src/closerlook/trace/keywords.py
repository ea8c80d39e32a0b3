"""Keyword overlap of two texts, as the paper has it: spaCy's tokens, 1- to 3-grams, averaged over n (section 5: 61.6%).

The paper gives no formula. Here it is the overlap coefficient: shared n-grams relative to the smaller of the two sets. Jaccard
would mostly measure that one text is longer than the other: a pair whose response is five times as long as its source's can
reach 0.2 at most, though it holds every word of it. The price: a text of a few words overlaps by chance, so read it beside the
same measure on random pairs.
"""

import re
from functools import lru_cache

import spacy

NGRAMS = (1, 2, 3)
_ENDLESS = re.compile(r"\S{200}")
"""What no word is. spaCy splits symbols off one by one: a line of 100,000 brackets would take it hours."""


@lru_cache(1)
def _english() -> spacy.Language:
    return spacy.blank("en")  # tokenizer and stop words come with spaCy; no model is needed


@lru_cache(16384)
def keywords(text: str) -> tuple[str, ...]:
    """Lower-cased tokens that are neither stop words, punctuation nor white space, in the text's order."""
    tokens = _english().tokenizer(_ENDLESS.sub(r"\g<0> ", text))
    return tuple(token.lower_ for token in tokens if not (token.is_stop or token.is_punct or token.is_space))


@lru_cache(1024)
def _ngrams(text: str) -> tuple[frozenset[tuple[str, ...]], ...]:
    found = keywords(text)
    return tuple(frozenset(zip(*(found[start:] for start in range(n)), strict=False)) for n in NGRAMS)


def overlap(a: str, b: str) -> float:
    """|A & B| / min(|A|, |B|) of the sets A, B of n-grams of consecutive keywords; mean over those n of 1 to 3 that both have.

    0 to 1, symmetric; 0 where one of the texts has no keyword.
    """
    pairs = [(x, y) for x, y in zip(_ngrams(a), _ngrams(b), strict=True) if x and y]
    return sum(len(x & y) / min(len(x), len(y)) for x, y in pairs) / len(pairs) if pairs else 0.0
