"""Mark words that the model's own sampled answers contradict (SelfCheckGPT, Manakul et al. 2023).

Words are compared, without a judge. A sentence of the response and a sentence of a sample have a swap if they differ in some
words but agree before and after them: "founded in 1912 by" and "founded in 1915 by". A swap is a contradiction unless it also
occurs in the answers to other instructions, as changes of wording do ("in short" and "in a word").
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein
from tqdm import tqdm

from closerlook.config.markers import ConsistencySettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_by_id
from closerlook.spans.marks import MarkedSpan, Response, Rows, span_rows
from closerlook.text.sentences import sentences_of
from closerlook.text.words import Word, claim_words_of

NEAR = 4
"""Most words on either side of a swap that count as its context."""
FRAME = 2
"""Words that must agree around a swap, per swapped word. Words of the instruction do not count, since they often agree."""
WORDING = 2
"""A swap in the answers to more instructions than this is a change of wording."""


class Swap(NamedTuple):
    """Words of the response, and the words that sample number `sample` has instead."""

    sample: int
    words: list[Word]
    instead: tuple[str, ...]

    @property
    def pair(self) -> frozenset[tuple[str, ...]]:
        """The two wordings, unordered."""
        return frozenset((tuple(word.text for word in self.words), self.instead))


def mark_by_consistency(responses: Sequence[Response], sampled: Path, settings: ConsistencySettings) -> Rows:
    """Mark words that at least a share `threshold` of the comparable samples contradict. The kind is always "not factual".

    Samples are comparable if they contain or contradict the word. With few instructions, changes of wording are not recognized.
    """
    samples = read_samples(sampled, [response.id for response in responses], settings.samples)
    swaps = [
        list(_swaps(response, texts))
        for response, texts in zip(tqdm(responses, desc="consistency", unit=" responses"), samples, strict=True)
    ]
    instructions_with = Counter(pair for in_response in swaps for pair in {swap.pair for swap in in_response})
    marker = f"consistency@1/{settings.samples}x{settings.temperature}/{settings.threshold}"
    rows: Rows = []
    for response, texts, in_response in zip(responses, samples, swaps, strict=True):
        facts = [swap for swap in in_response if instructions_with[swap.pair] <= WORDING]
        rows += span_rows(response, _spans(response, texts, facts, settings.threshold), marker)
    return rows


def read_samples(path: Path, ids: list[str], samples: int) -> list[list[str]]:
    """The texts of the first `samples` sampled answers to each of `ids`. Raises CloserlookError if one is missing."""
    texts = read_by_id(path, "text")
    wanted = [[f"{number}/{id_}" for number in range(samples)] for id_ in ids]
    if absent := next((name for names in wanted for name in names if name not in texts), None):
        number, _, id_ = absent.partition("/")
        raise CloserlookError(
            f"{path}: has no answer {int(number) + 1} to {id_}, expected {samples} per instruction; sample again"
        )
    return [[texts[name] for name in names] for names in wanted]


def _spans(response: Response, samples: Sequence[str], swaps: Sequence[Swap], threshold: float) -> Iterator[MarkedSpan]:
    """Runs of words that enough samples contradict. The note lists the words of the samples."""
    instead: dict[Word, dict[int, str]] = defaultdict(dict)
    for swap in swaps:
        for word in swap.words:
            instead[word].setdefault(swap.sample, " ".join(swap.instead))
    sampled_words = [{word.text for word in claim_words_of(text)} for text in samples]
    instruction = {word.text for word in claim_words_of(response.instruction)}

    def contradicted(word: Word) -> bool:
        supports = {number for number, words in enumerate(sampled_words) if word.text in words}
        against = instead.get(word, {}).keys() - supports
        return word.text not in instruction and bool(against) and len(against) >= threshold * len(against | supports)

    for is_span, words in groupby(claim_words_of(response.text), key=contradicted):
        if is_span:
            run = list(words)
            others = Counter(text for word in run for text in instead[word].values())
            note = "samples: " + ", ".join(text for text, _ in others.most_common(5))
            yield MarkedSpan(run[0].start, run[-1].end, "not factual", note)


def _swaps(response: Response, samples: Sequence[str]) -> Iterator[Swap]:
    """All swaps between the sentences of a response and those of its samples."""
    instruction = {word.text for word in claim_words_of(response.instruction)}
    others = [dict.fromkeys(tuple(word.text for word in s) for s in sentences_of(text)) for text in samples]
    for sentence in sentences_of(response.text):
        own = {word.text for word in sentence} - instruction
        for number, sentences in enumerate(others):
            for other in sentences:
                if len(own.intersection(other)) >= FRAME:
                    yield from _between(sentence, other, number, instruction)


def _between(sentence: list[Word], other: tuple[str, ...], number: int, instruction: Collection[str]) -> Iterator[Swap]:
    """The swaps of two sentences: replacements in the shortest edit with enough agreeing words around them."""
    texts = [word.text for word in sentence]
    blocks = Levenshtein.editops(texts, list(other)).as_matching_blocks()
    kept = [(block.a + step, block.b + step) for block in blocks for step in range(block.size)]
    ends = [(-1, -1), *kept, (len(texts), len(other))]
    for at, ((i, j), (k, m)) in enumerate(pairwise(ends)):
        swapped = max(k - i, m - j) - 1
        if min(k - i, m - j) > 1 and _agreeing(ends, at, texts, instruction) >= FRAME * swapped:
            yield Swap(number, sentence[i + 1 : k], other[j + 1 : m])


def _agreeing(ends: list[tuple[int, int]], at: int, texts: list[str], instruction: Collection[str]) -> int:
    """Number of words that agree without a gap up to `ends[at]` and from the next entry on; at most NEAR on either side."""
    count = 0
    for first, step in ((at, -1), (at + 1, 1)):
        for position in range(first, first + step * NEAR, step):
            i, j = ends[position]
            if not 0 <= i < len(texts) or (position != first and ends[position - step] != (i - step, j - step)):
                break
            count += texts[i] not in instruction
    return count
