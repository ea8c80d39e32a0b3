"""Chance levels: derangements, equal sizes, and phrases that match in length and rarity and come from elsewhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closerlook.trace.nulls import (
    DRAWN,
    NEAREST,
    derangements,
    limit_for_words,
    matched_phrases,
    zipf_frequencies,
)
from closerlook.trace.passages import Passages
from closerlook.trace.phrases import ngrams_starting_with

COMMON = ["the", "and", "of", "to", "house", "music", "garden", "winter", "quantum", "zyxwv"]


@given(st.integers(0, 40), st.integers(0, 5))
def test_another_instruction_is_never_the_same(n: int, seed: int) -> None:
    permuted = derangements(n, seed)
    assert permuted.shape == (min(3, max(0, n - 1)), n)
    for other in permuted:
        assert sorted(other) == list(range(n))
        assert (other != np.arange(n)).all()
    for i in range(n):
        assert len(set(permuted[:, i])) == len(permuted)
    assert np.array_equal(permuted, derangements(n, seed))


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(0, 500))
def test_the_limit_is_the_nearest_in_words(sizes: list[int], words: int) -> None:
    limit = limit_for_words(np.array(sizes, dtype=np.int32), words)
    if not sizes:
        assert limit == 0
        return
    off = [abs(sum(sizes[: n + 1]) - words) for n in range(len(sizes))]
    assert abs(sum(sizes[:limit]) - words) == min(off)


def test_rarity_is_wordfreqs_and_0_for_the_unheard() -> None:
    the, house, unheard = zipf_frequencies(["the", "house", "zyxwvut"])
    assert the > house > 4
    assert unheard == 0


@given(st.lists(st.lists(st.sampled_from(COMMON), max_size=8), max_size=6), st.integers(0, 3), st.data())
def test_matched_phrases_are_as_long_from_other_responses_and_from_the_pool(
    texts: list[list[str]], seed: int, data: st.DataObject
) -> None:
    passages = Passages.from_texts([str(i) for i in range(len(texts))], [" ".join(words) for words in texts])
    flags = st.lists(st.booleans(), min_size=len(passages.words), max_size=len(passages.words))
    pool, chosen = (np.array(data.draw(flags), dtype=bool) for _ in range(2))
    phrases = ngrams_starting_with(passages, chosen)
    drawn, of = matched_phrases(phrases, pool, passages, seed)
    assert pool[drawn.first].all()
    assert (drawn.words == phrases.words[of]).all()
    assert (drawn.ngram == phrases.ngram[of]).all()
    assert (drawn.response == phrases.response[of]).all()
    assert (passages.text_of_word[drawn.first] != drawn.response).all()
    assert (passages.remaining[drawn.first] >= drawn.words).all()
    assert np.bincount(of, minlength=len(phrases.first)).max(initial=0) <= DRAWN
    again, _ = matched_phrases(phrases, pool, passages, seed)
    assert np.array_equal(again.first, drawn.first)


def test_matched_phrases_are_as_rare() -> None:
    words = COMMON[:8] * 30
    texts = [" ".join(np.random.default_rng(i).permutation(words)) for i in range(4)]
    passages = Passages.from_texts([str(i) for i in range(4)], texts)
    phrases = ngrams_starting_with(passages, np.ones(len(passages.words), dtype=bool))
    drawn, of = matched_phrases(phrases, np.ones(len(passages.words), dtype=bool), passages, 0)
    frequency = zipf_frequencies([word.text for word in passages.words])
    wanted = np.array([frequency[f : f + n].min() for f, n in zip(phrases.first[of], drawn.words, strict=True)])
    drawn_rarity = np.array([frequency[f : f + n].min() for f, n in zip(drawn.first, drawn.words, strict=True)])
    assert (wanted[drawn.words == 1] == drawn_rarity[drawn.words == 1]).mean() > 1 - NEAREST / 100
    assert np.abs(wanted - drawn_rarity).mean() < 0.1


@pytest.mark.parametrize("texts", [[], [""], ["the"], ["the", ""]])
def test_where_nothing_matches_nothing_is_drawn(texts: list[str]) -> None:
    passages = Passages.from_texts([str(i) for i in range(len(texts))], texts)
    everything = np.ones(len(passages.words), dtype=bool)
    drawn, of = matched_phrases(ngrams_starting_with(passages, everything), everything, passages, 0)
    assert len(drawn.first) == len(of) == 0
