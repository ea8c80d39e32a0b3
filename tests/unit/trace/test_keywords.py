"""Keyword overlap, compared with hand-counted texts, and on hostile ones."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.trace.keywords import keywords, overlap


def test_counted_by_hand():
    assert keywords("The quick brown fox doesn't jump!\n") == ("quick", "brown", "fox", "jump")
    # 1-grams: quick, brown of 4 (smaller set 3); 2-grams: quick brown of 2; 3-grams: the one of b is not in a
    assert overlap("The quick brown fox jumps.", "a Quick, BROWN dog") == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert overlap("The fox.", "fox") == 1  # only 1-grams exist
    assert overlap("the of and", "fox") == 0
    assert overlap("", "") == 0


@given(st.text(max_size=80), st.text(max_size=80))
@settings(deadline=None)
def test_bounds_and_symmetry(a, b):
    assert 0 <= overlap(a, b) <= 1
    assert overlap(a, b) == overlap(b, a)
    assert overlap(a, a) == (1 if keywords(a) else 0)


@pytest.mark.parametrize("letter", ["x", "(", "a ", "'s", "🙂", "e\u0301", "\0", "א", "(a"])
def test_long_texts_take_no_time(letter):
    start = time.perf_counter()
    overlap(letter * (100_000 // len(letter)), "x (")
    assert time.perf_counter() - start < 10
