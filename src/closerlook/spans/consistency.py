"""The model's own sampled answers as a marker: what it says only sometimes, it does not know (SelfCheckGPT, Manakul et al. 2023).

No judge is asked, words are compared. Two sentences, one of the response and one of a sample, make a swap where they say the same
before and behind some words, and these words differ: "founded in 1912 by" beside "founded in 1915 by". A swap is a contradiction
unless it is one of wording, which is seen by its coming again in answers to other instructions ("in short" beside "in a word").
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein
from tqdm import tqdm

from closerlook.config.markers import ConsistencySettings
from closerlook.spans.marks import Response, Rows, Span, rows_of
from closerlook.spans.samples import read_samples
from closerlook.text.sentences import sentences_of
from closerlook.text.words import Word, claim_words_of

NEAR = 4
"""Words on either side of a swap that can vouch for it."""
FRAME = 2
"""Of these, as many times the words swapped must agree, words of the instruction not counted: those always agree."""
WORDING = 2
"""A swap that answers to more instructions than these show is one of wording."""


class Swap(NamedTuple):
    """Words of the response that a sample has otherwise: which sample, which words, and what stands for what."""

    sample: int
    words: list[Word]
    instead: tuple[str, ...]

    @property
    def pair(self) -> frozenset[tuple[str, ...]]:
        """The two wordings, whichever was whose."""
        return frozenset((tuple(word.text for word in self.words), self.instead))


def by_consistency(responses: Sequence[Response], sampled: Path, settings: ConsistencySettings) -> Rows:
    """Mark what at least `threshold` of the comparable samples contradict. The kind is always "not factual".

    Comparable to a word are the samples that contain it or contradict it. The fewer the instructions, the less can be told
    wording from fact.
    """
    samples = read_samples(sampled, [response.id for response in responses], settings.samples)
    swaps = [
        list(_swaps(response, texts))
        for response, texts in zip(tqdm(responses, desc="consistency", unit=" responses"), samples, strict=True)
    ]
    seen = Counter(pair for found in swaps for pair in {swap.pair for swap in found})
    marker = f"consistency@1/{settings.samples}x{settings.temperature}/{settings.threshold}"
    rows: Rows = []
    for response, texts, found in zip(responses, samples, swaps, strict=True):
        facts = [swap for swap in found if seen[swap.pair] <= WORDING]
        rows += rows_of(response, _spans(response, texts, facts, settings.threshold), marker)
    return rows


def _spans(response: Response, samples: Sequence[str], swaps: Sequence[Swap], threshold: float) -> Iterator[Span]:
    """Runs of words that enough samples contradict, with what they say instead."""
    instead: dict[Word, dict[int, str]] = defaultdict(dict)
    for swap in swaps:
        for word in swap.words:
            instead[word].setdefault(swap.sample, " ".join(swap.instead))
    said = [{word.text for word in claim_words_of(text)} for text in samples]
    given = {word.text for word in claim_words_of(response.instruction)}

    def contradicted(word: Word) -> bool:
        supports = {number for number, words in enumerate(said) if word.text in words}
        against = instead.get(word, {}).keys() - supports
        return word.text not in given and bool(against) and len(against) >= threshold * len(against | supports)

    for is_span, words in groupby(claim_words_of(response.text), key=contradicted):
        if is_span:
            run = list(words)
            others = Counter(text for word in run for text in instead[word].values())
            note = "samples: " + ", ".join(text for text, _ in others.most_common(5))
            yield Span(run[0].start, run[-1].end, "not factual", note)


def _swaps(response: Response, samples: Sequence[str]) -> Iterator[Swap]:
    """All swaps between the sentences of a response and those of its samples."""
    given = {word.text for word in claim_words_of(response.instruction)}
    others = [dict.fromkeys(tuple(word.text for word in s) for s in sentences_of(text)) for text in samples]
    for sentence in sentences_of(response.text):
        own = {word.text for word in sentence} - given
        for number, sentences in enumerate(others):
            for other in sentences:
                if len(own.intersection(other)) >= FRAME:
                    yield from _between(sentence, other, number, given)


def _between(sentence: list[Word], other: tuple[str, ...], number: int, given: Collection[str]) -> Iterator[Swap]:
    """The swaps of two sentences: stretches of the shortest edit that replace words, well framed by words that stay."""
    texts = [word.text for word in sentence]
    blocks = Levenshtein.editops(texts, list(other)).as_matching_blocks()
    kept = [(block.a + step, block.b + step) for block in blocks for step in range(block.size)]
    ends = [(-1, -1), *kept, (len(texts), len(other))]
    for at, ((i, j), (k, m)) in enumerate(pairwise(ends)):
        swapped = max(k - i, m - j) - 1
        if min(k - i, m - j) > 1 and _agreeing(ends, at, texts, given) >= FRAME * swapped:
            yield Swap(number, sentence[i + 1 : k], other[j + 1 : m])


def _agreeing(ends: list[tuple[int, int]], at: int, texts: list[str], given: Collection[str]) -> int:
    """How many words agree, without a gap, up to `ends[at]` and from the one behind it; at most NEAR on either side."""
    count = 0
    for first, step in ((at, -1), (at + 1, 1)):
        for place in range(first, first + step * NEAR, step):
            i, j = ends[place]
            if not 0 <= i < len(texts) or (place != first and ends[place - step] != (i - step, j - step)):
                break
            count += texts[i] not in given
    return count
