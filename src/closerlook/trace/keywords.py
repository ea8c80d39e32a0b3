"""Keyword overlap of two texts: spaCy's tokens, 1- to 3-grams, averaged over n (section 5: 61.6%).

The paper gives no formula. Here it is the overlap coefficient: shared n-grams relative to the smaller of the two sets. Jaccard
similarity would mostly measure a difference in length: a text five times as long as its source reaches at most 0.2, even if it
contains every word of it. The drawback is that a short text overlaps by chance, so compare the overlap with that of random pairs.
"""

import re
from functools import lru_cache

import spacy

NGRAMS = (1, 2, 3)
_ENDLESS = re.compile(r"\S{200}")
"""No word is this long. spaCy splits symbols off one by one: a line of 100,000 brackets would take hours."""


@lru_cache(1)
def _english() -> spacy.Language:
    return spacy.blank("en")  # tokenizer and stop words come with spaCy; no model is needed


@lru_cache(16384)
def keywords(text: str) -> tuple[str, ...]:
    """Lower-cased tokens in the text's order, without stop words, punctuation and white space."""
    tokens = _english().tokenizer(_ENDLESS.sub(r"\g<0> ", text))
    return tuple(token.lower_ for token in tokens if not (token.is_stop or token.is_punct or token.is_space))


@lru_cache(1024)
def _ngrams(text: str) -> tuple[frozenset[tuple[str, ...]], ...]:
    tokens = keywords(text)
    return tuple(frozenset(zip(*(tokens[start:] for start in range(n)), strict=False)) for n in NGRAMS)


def overlap(a: str, b: str) -> float:
    """|A & B| / min(|A|, |B|) of the sets A, B of n-grams of consecutive keywords; mean over those n of 1 to 3 that both have.

    0 to 1, symmetric; 0 if one of the texts has no keyword.
    """
    pairs = [(x, y) for x, y in zip(_ngrams(a), _ngrams(b), strict=True) if x and y]
    return sum(len(x & y) / min(len(x), len(y)) for x, y in pairs) / len(pairs) if pairs else 0.0
