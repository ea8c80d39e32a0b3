"""Chance on real text: Alpaca's answers have copied nothing from Alpaca's other instances, and the excess says so."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.support.borrowing import instances

from closerlook.report.tables.borrowing import compare
from closerlook.report.tables.excess import PartRates, exact_p
from closerlook.trace.held_out import PARTS, SMALL, SMALL_PARTS, Parts, match_lengths_by_part
from closerlook.trace.index import Index
from closerlook.trace.passages import Passages
from closerlook.trace.phrases import is_found, ngrams_starting_with, tally

NGRAMS = (1, 2, 3, 4)
RESPONSES = 100
CHARACTERS = 300
"""Of an answer: enough words, and fast."""


def read(file: Path) -> list[tuple[str, str]]:
    records = [json.loads(line) for line in file.open(encoding="utf-8")]
    return [(record["instruction"], record["output"]) for record in records]


@pytest.fixture(scope="module")
def alpaca(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[tuple[str, str]], Index]:
    pairs = read(shared / "data/alpaca_9k.jsonl")
    index = Index.build(instances(pairs), tmp_path_factory.mktemp("alpaca") / "index")
    index.words.documents = cache(index.words.documents)  # type: ignore[method-assign]  # all repeats ask for the same phrases
    return pairs, index


def random_parts(index: Index, size: int, order: np.ndarray) -> Parts:
    """Instances in this order: the first `size` were tuned on, the next are parts that were not. The others are in no part."""
    sides = {"tuned_on": order[:size], "held_out": order[size:]}
    bits, counts = np.zeros(len(index.sizes), dtype=np.uint64), dict[str, int]()
    for suffix, of_part, most in (("", size, PARTS), ("_small", size // SMALL, SMALL_PARTS)):
        for name, side in sides.items():
            counts[name + suffix] = min(len(side) // of_part, most)
            for part in range(counts[name + suffix]):
                members = side[part * of_part : (part + 1) * of_part]
                bits[members] |= np.uint64(1 << (sum(counts.values()) - counts[name + suffix] + part))
    return Parts(index, bits, counts)


def of(counts: np.ndarray, parts: Parts, name: str) -> np.ndarray:
    """The counts of the parts of a name."""
    return counts[[bit for bit, (kind, _) in enumerate(parts.names) if kind == name]]


def count(texts: list[str], parts: Parts) -> np.ndarray:
    """[parts, 2, responses, n-gram lengths]: found and looked up."""
    passages = Passages.from_texts([str(i) for i in range(len(texts))], texts)
    lengths = match_lengths_by_part([word.text for word in passages.words], passages.remaining, parts, max(NGRAMS))
    phrases = ngrams_starting_with(passages, np.ones(len(passages.words), dtype=bool))
    short = phrases.words <= max(NGRAMS)
    phrases = type(phrases)(*(column[short] for column in phrases))
    return np.array([tally(phrases, is_found(phrases, of_part), len(texts)) for of_part in lengths])


@pytest.mark.parametrize(("size", "repeats"), [(64, 200), (1000, 200)])
def test_text_that_copied_nothing_has_no_excess(
    alpaca: tuple[list[tuple[str, str]], Index], size: int, repeats: int
) -> None:
    """Each repeat draws other responses, other instances tuned on, and other parts.

    Bounds: the mean is within three simulation errors of 0. Of 200 intervals that cover 95%, fewer than 92% do with a probability
    of 0.03. p is at most 0.05 in 5% of the repeats, and in 8% or more of 200 with a probability of 0.05.
    """
    pairs, index = alpaca
    generator = np.random.default_rng(size)
    estimates, ps = {n: [] for n in NGRAMS}, {n: [] for n in NGRAMS}
    for _ in range(repeats):
        order = generator.permutation(len(pairs))
        parts = random_parts(index, size, order[RESPONSES:])
        counts = count([pairs[row][1][:CHARACTERS] for row in order[:RESPONSES]], parts)
        for n in NGRAMS:
            tuned, held_out, *small = (of(counts[..., n], parts, name) for name in parts.counts)
            estimates[n].append(PartRates.of(tuned, held_out).difference(0))
            ps[n].append(exact_p(*(each[:, 0].sum(axis=1) for each in small)))
    for n in NGRAMS:
        values = np.array([estimate.value for estimate in estimates[n]])
        assert abs(values.mean()) < 3 * values.std(ddof=1) / np.sqrt(repeats)
        assert np.mean([e.low is None or e.low <= 0 <= e.high for e in estimates[n]]) >= 0.92
        assert np.mean([p <= 0.05 for p in ps[n]]) <= 0.08


def test_phrases_copied_from_the_instances_tuned_on_are_detected(
    alpaca: tuple[list[tuple[str, str]], Index],
) -> None:
    """Each response has one sentence of the data in it. Among 21 parts, p could not be below 0.047."""
    pairs, index = alpaca
    order = np.random.default_rng(5).permutation(len(pairs))
    parts = random_parts(index, 200, order[RESPONSES:])
    tuned = [pairs[row][1] for row in order[RESPONSES : RESPONSES + 200]]
    texts = [f"{tuned[2 * i][:100]} {pairs[row][1][:CHARACTERS]}" for i, row in enumerate(order[:RESPONSES])]
    counts = count(texts, parts)
    for n in NGRAMS[1:]:
        tuned, held_out, *small = (of(counts[..., n], parts, name) for name in parts.counts)
        assert PartRates.of(tuned, held_out).difference(0).low > 0
        assert exact_p(*(each[:, 0].sum(axis=1) for each in small)) < 0.01


def test_another_dataset_is_no_chance_level(
    shared: Path, alpaca: tuple[list[tuple[str, str]], Index], tmp_path: Path
) -> None:
    """Against as many words of Dolly, the same text seems borrowed: Dolly's style and subjects are others."""
    pairs, index = alpaca
    order = np.random.default_rng(6).permutation(len(pairs))
    own = random_parts(index, 1000, order[RESPONSES:])
    dolly = Index.build(instances(read(shared / "data/dolly_3k.jsonl")), tmp_path / "dolly")
    words = int(index.sizes[own.bits & np.uint64(1) == 1].sum())
    limit = 1 + int(np.argmin(np.abs(np.cumsum(dolly.sizes) - words)))
    assert 0.9 < dolly.sizes[:limit].sum() / words < 1.1
    bits = (np.arange(len(dolly.sizes)) < limit).astype(np.uint64)
    texts = [pairs[row][1][:CHARACTERS] for row in order[:RESPONSES]]
    observed, unrelated = count(texts, own)[0], count(texts, Parts(dolly, bits, {"tuned_on": 1}))[0]
    for n in NGRAMS[:3]:
        ((_, _, difference),) = compare([observed[:, :, n]], [unrelated[:, :, n]])
        assert difference.low > 0
