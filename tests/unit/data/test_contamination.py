"""Contamination, compared with a brute-force implementation; planted near-copies; instructions that must not match."""

import random
import time
from collections import Counter
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.data.contamination import comparable_words, find_contamination


def table(prefix, texts):
    return pa.table({"id": [f"{prefix}{i}" for i in range(len(texts))], "instruction": texts})


def find(questions, instructions):
    rows = find_contamination(table("e", questions), table("d", instructions))
    return {(r["evalset_id"], r["instance_id"]): (r["match"], r["similarity"]) for r in rows}


def brute_force(questions, instructions):
    """The definition in exact arithmetic, pair by pair."""
    found = {}
    for i, question in enumerate(questions):
        for j, text in enumerate(instructions):
            one, two = comparable_words(question), comparable_words(text)
            dice = Fraction(2 * sum((Counter(one) & Counter(two)).values()), len(one) + len(two))
            if dice >= Fraction(9, 10):
                found[f"e{i}", f"d{j}"] = ("exact" if one == two else "near", float(dice))
    return found


sentences = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f"]), min_size=1, max_size=25).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(
    questions=st.lists(sentences, min_size=1, max_size=6),
    instructions=st.lists(sentences, max_size=6),
    seed=st.integers(0, 99),
)
def test_equals_brute_force(questions, instructions, seed):
    rng = random.Random(seed)
    for text in questions:  # near-copies, or the generator would hardly make any
        copy = text.split()
        rng.shuffle(copy)
        copy[rng.randrange(len(copy))] = rng.choice("abxyz")
        instructions.append(" ".join(copy))
    found, expected = find(questions, instructions), brute_force(questions, instructions)
    assert found.keys() == expected.keys()
    for pair, (match, similarity) in expected.items():
        assert found[pair][0] == match
        assert found[pair][1] == pytest.approx(similarity, abs=1e-6)  # float32


@pytest.mark.parametrize(
    ("one", "two", "match"),
    [
        ("What is the capital of France?", "what is  the capital of\nfrance", "exact"),
        ("STRASSE", "straße", "exact"),
        ("List “three” primes.", 'list "three" primes', "exact"),
        ("why the sky is blue?", "Why is the sky blue?", "near"),
        ("日本の首都はどこですか。", "日本の首都はどこですか", "exact"),
        ("今日の東京の天気はどうですか", "今日の東京の天気はどうですか?", "exact"),
        ("中国的首都是哪里,请详细回答", "中国的首都是哪里,请详细回答我", "near"),
        ("?!", "?!", "exact"),
        ("?!", "...", None),
        ("What is 2 + 3?", "What is 2 - 3?", None),
        ("What is 2 / 3?", "What is 2 * 3?", None),
        ("How do I make escargot?", "How do I make Aioli?", None),
        ("What is the largest ocean in the world", "Who is the richest man in the world", None),
        ("Write me a poem in the style of neruda", "Write a poem in the style of a limerick.", None),
        ("Translate to C++", "Translate to C#", None),
    ],
)
def test_pairs(one, two, match):
    assert find([one], [two]).get(("e0", "d0"), (None,))[0] == match
    assert find([two], [one]).get(("e0", "d0"), (None,))[0] == match


def test_order_and_nothing_to_find():
    rows = find_contamination(
        table("e", ["b c d e f g h i j k", "x"]), table("d", ["x", "b c d e f g h i j", "b c d e f g h i j k"])
    )
    assert [(r["evalset_id"], r["instance_id"], r["match"]) for r in rows] == [
        ("e0", "d2", "exact"),
        ("e0", "d1", "near"),
        ("e1", "d0", "exact"),
    ]
    assert find(["a question"], []) == {}
    assert find([], ["a question"]) == {}


def test_speed():
    """800 questions against 52,000 instances take under a minute on one core (about 3 s when written)."""
    rng = random.Random(0)
    vocabulary = [f"w{i}" for i in range(5000)]
    questions = [" ".join(rng.choices(vocabulary, k=20)) for _ in range(800)]
    instructions = [" ".join(rng.choices(vocabulary, k=rng.randint(5, 40))) for _ in range(52_000)]
    instructions[777] = questions[5] + " please"
    start = time.perf_counter()
    assert list(find(questions, instructions)) == [("e5", "d777")]
    assert time.perf_counter() - start < 60
