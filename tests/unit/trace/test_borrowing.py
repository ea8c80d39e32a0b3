"""Borrowing: counted as direct search of every phrase counts it."""

import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.borrowing import DATA, HOSTILE, TEXTS, WORDS, occurs, searched, stands

from closerlook.core.errors import CloserlookError
from closerlook.core.schemas import BORROWING
from closerlook.text.words import words_of
from closerlook.trace.borrowing import BorrowingInputs, Searched, count_borrowing, truncate_to_size
from closerlook.trace.matching_statistics import match_lengths
from closerlook.trace.passages import Passages
from closerlook.trace.phrases import LONGEST, ngrams_starting_with, span_ngrams


@given(st.lists(TEXTS, max_size=4), st.lists(st.tuples(TEXTS, TEXTS), max_size=4), st.integers(1, 9))
def test_longest_runs_are_those_that_direct_search_finds(
    texts: list[str], pairs: list[tuple[str, str]], most: int
) -> None:
    passages = Passages.from_texts([str(i) for i in range(len(texts))], texts)
    spoken_words = [word.text for word in passages.words]
    runs = match_lengths(spoken_words, passages.remaining, occurs(pairs), most)
    for i, (run, left) in enumerate(zip(runs, passages.remaining, strict=True)):
        lengths = [n for n in range(1, min(most, left) + 1) if stands(spoken_words[i : i + n], pairs)]
        assert run == max(lengths, default=0)


def test_few_queries_are_asked_and_none_twice() -> None:
    passages = Passages.from_texts(["x"], ["a b c dd " * 500])
    asked: list[str] = []
    match_lengths(
        [w.text for w in passages.words],
        passages.remaining,
        lambda some: (asked.extend(some), np.ones(len(some), bool))[1],
        8,
    )
    assert len(asked) == len(set(asked)) < 100


@given(TEXTS, st.data())
def test_spans_are_looked_for_within_or_in_their_company(text: str, data: st.DataObject) -> None:
    passages = Passages.from_texts(["x"], [text])
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    spoken_words = [word.text for word in passages.words]
    touched = [i for i, word in enumerate(passages.words) if word.start < end and word.end > start]
    phrases = span_ngrams(passages, [(0, start, end)])
    actual = {n: [] for n in range(LONGEST + 1)}
    for first, words, ngram in zip(phrases.first, phrases.words, phrases.ngram, strict=True):
        actual[ngram].append((first, first + words))
    if not touched:
        assert not any(actual.values())
        return
    a, b = touched[0], touched[-1] + 1
    assert actual[0] == [(a, b)]
    for n in range(1, LONGEST + 1):
        windows = [(i, i + n) for i in range(len(spoken_words) - n + 1)]
        assert actual[n] == [(i, j) for i, j in windows if (a <= i and j <= b) or (i <= a and b <= j)]


@pytest.mark.parametrize("embed", [False, True])
def test_counts_are_those_of_direct_search(tmp_path: Path, embed: bool) -> None:
    generator = random.Random(3)
    texts = [*HOSTILE, *(" ".join(generator.choices(WORDS.split(), k=7)) for _ in range(6))]
    passages = Passages.from_texts([str(i) for i in range(len(texts))], texts)
    classes = np.array(generator.choices(["shifted", "marginal", "unshifted"], k=len(passages.words)))
    spans = [(i, 0, min(3, len(text))) for i, text in enumerate(texts) if text]
    other = [("b a", "c c"), ("a b c", "dd"), ("x", "y z"), ("ee", "ee")]
    data, unrelated = searched(DATA, tmp_path, embed=embed), searched(other, tmp_path, "other", embed)
    borrowed = BorrowingInputs(passages, classes, [f"a {i}" for i in range(len(texts))], {"m": spans}, passages)
    table = count_borrowing(borrowed, [Searched(data, unrelated)], 2, 0)
    assert table.schema == BORROWING
    assert table.equals(count_borrowing(borrowed, [Searched(data, unrelated)], 2, 0))
    rows = {
        tuple(r[k] for k in ("id", "unit", "where", "null", "ngram")): (r["found"], r["phrases"])
        for r in table.to_pylist()
    }
    near = data.most_similar(borrowed.instructions, 2)
    limit = borrowed_limit(other, sum(len(words_of(t)) for pair in DATA for t in pair))
    for i in range(len(texts)):
        low, high = passages.first[i], passages.first[i + 1]
        spoken_words, those = [w.text for w in passages.words[low:high]], classes[low:high]
        for n in range(1, LONGEST + 1):
            phrases = [spoken_words[k : k + n] for k in range(len(spoken_words) - n + 1) if those[k] == "shifted"]
            for where, null, pairs in (
                ("all", "observed", DATA),
                ("similar", "observed", [DATA[row] for row in near[i]]),
                ("all", "unrelated", other[:limit]),
            ):
                wanted = (sum(stands(phrase, pairs) for phrase in phrases), len(phrases))
                assert rows.get((str(i), "shifted", where, null, n), (0, 0)) == wanted
            own = [spoken_words[k : k + n] for k in range(len(spoken_words) - n + 1)]
            wanted = (sum(stands(phrase, DATA) for phrase in own), len(own))
            assert rows.get((str(i), "span:m", "all", "base_answer", n), (0, 0)) == wanted
        whole = rows[str(i), "span:m", "all", "observed", 0]
        assert whole[1] == sum(
            1 for span in spans if span[0] == i and passages.word_range(*span)[0] < passages.word_range(*span)[1]
        )


def borrowed_limit(pairs: list[tuple[str, str]], words: int) -> int:
    sizes = [sum(len(words_of(t)) for pair in pairs[:n] for t in pair) for n in range(1, len(pairs) + 1)]
    return 1 + min(range(len(sizes)), key=lambda i: abs(sizes[i] - words))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(max_size=20), max_size=4))
def test_any_text_is_counted(tmp_path: Path, texts: list[str]) -> None:
    data = searched(DATA, tmp_path)
    passages = Passages.from_texts([str(i) for i in range(len(texts))], texts)
    classes = np.full(len(passages.words), "shifted")
    spans = [(i, 0, len(text)) for i, text in enumerate(texts) if text]
    table = count_borrowing(BorrowingInputs(passages, classes, texts, {"m": spans}), [Searched(data)], 3, 0)
    assert all(0 <= row["found"] <= row["phrases"] for row in table.to_pylist())


def test_embeddings_of_one_dataset_only_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CloserlookError, match=r"b: .*embeddings"):
        Searched(searched(DATA, tmp_path, embed=True), searched(DATA, tmp_path, "b"))


def test_of_a_control_only_spans_are_counted_in_every_dataset(tmp_path: Path) -> None:
    texts = ["a b c", "dd ee zz", ""]
    spans = [(0, 0, 3), (1, 3, 8)]
    passages = Passages.from_texts(["x", "y", "z"], texts)
    searched_in = [Searched(searched(DATA, tmp_path, "one")), Searched(searched([("zz", "ee zz")], tmp_path, "two"))]
    table = count_borrowing(BorrowingInputs(passages, None, texts, {"m": spans}, None), searched_in, 2, 0)
    assert set(table["unit"].to_pylist()) == {"span:m"}
    assert "matched" in table["null"].to_pylist(), "its words are all its own, so that any of them can be matched"
    whole = {
        (row["searched"], row["id"]): (row["found"], row["phrases"])
        for row in table.to_pylist()
        if (row["ngram"], row["where"], row["null"]) == (0, "all", "observed")
    }
    assert whole == {
        ("one", "x"): (1, 1),
        ("one", "y"): (0, 1),
        ("one", "z"): (0, 0),
        ("two", "x"): (0, 1),
        ("two", "y"): (1, 1),
        ("two", "z"): (0, 0),
    }


def test_an_unrelated_dataset_with_fewer_words_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = searched([("a b", "c dd ee")] * 10, tmp_path, "own")
    assert truncate_to_size(searched([("zz", "b")] * 30, tmp_path, "large"), own).limit == 25
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert truncate_to_size(searched([("zz", "b")] * 20, tmp_path, "small"), own).limit == 20
    assert re.search(r"small .*40 .*own .*50", caplog.text)


def test_phrases_begin_with_the_chosen_words_and_stay_in_their_response() -> None:
    passages = Passages.from_texts(["x", "y"], ["a b c", "dd ee"])
    phrases = ngrams_starting_with(passages, np.array([True, False, True, True, False]))
    actual = {(int(f), int(n), int(r)) for f, n, r in zip(phrases.first, phrases.words, phrases.response, strict=True)}
    assert actual == {(0, 1, 0), (0, 2, 0), (0, 3, 0), (2, 1, 0), (3, 1, 1), (3, 2, 1)}
