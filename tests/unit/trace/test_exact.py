"""Exact search, compared with Python's `in` on documents and phrases that are out to break it."""

import functools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydivsufsort import divsufsort

from closerlook.core.errors import CloserlookError
from closerlook.trace import exact
from closerlook.trace.exact import PAGE, SuffixArray, documents_at, documents_by_page

# Few letters, so that phrases do occur; then everything that UTF-8, JSON, C strings and regular expressions make special.
letters = st.sampled_from(
    ["a", "b", " ", "\n", "\0", ".", "*", "(", "é", "e\u0301", "👩‍👧", "א", "ÿ", "\U0010ffff", "\ud800"]
)
phrases = st.lists(letters, max_size=5).map("".join)
texts = st.lists(letters.filter(lambda c: c != "\ud800"), max_size=40).map("".join)
documents = st.lists(st.lists(texts, min_size=1, max_size=3), min_size=1, max_size=12)


def holding(docs, phrase):
    return [row for row, parts in enumerate(docs) if phrase and any(phrase in part for part in parts)]


@settings(max_examples=150, deadline=None)
@given(documents, st.lists(phrases, max_size=8), st.integers(0, 13))
@example([["ab", "ba"], ["a"], ["b"]], ["aba", "abb", "ab", ""], 1)
@example([["\0"], ["a\0b"], [""]], ["\0", "a\0b", "a\0"], 13)
def test_finds_what_in_finds(tmp_path_factory, docs, phrases, limit):
    phrases += ["".join(part)[1:4] for part in docs[0]]
    index = SuffixArray.build(docs, tmp_path_factory.mktemp("exact") / "index")
    expected = [holding(docs, phrase) for phrase in phrases]
    within = [[row for row in rows if row < limit] for rows in expected]
    for phrase, rows, first in zip(phrases, expected, within, strict=True):
        actual = index.documents(phrase)
        assert actual.dtype == np.int32
        assert actual.tolist() == rows
        assert index.documents(phrase, limit).tolist() == first
    assert index.counts(phrases).tolist() == [len(rows) for rows in expected]
    assert index.counts(phrases, limit).tolist() == [len(rows) for rows in within]
    assert index.occurs(phrases).tolist() == [bool(rows) for rows in expected]
    assert index.occurs(phrases, limit).tolist() == [bool(rows) for rows in within]


@pytest.fixture(scope="module")
def crowd():
    """Documents of 1 to 200 letters: phrases of one letter stand in thousands, over many whole blocks."""
    draw = np.random.default_rng(0)
    return ["".join(draw.choice(list("aaaaaabc é"), size)) for size in draw.integers(1, 200, 3000)]


@pytest.mark.parametrize("force64", [False, True])
def test_frequent_phrases_over_many_blocks(crowd, tmp_path, monkeypatch, force64):
    monkeypatch.setattr(exact, "divsufsort", functools.partial(divsufsort, force64=force64))
    index = SuffixArray.build(([text] for text in crowd), tmp_path / "index")
    assert (np.load(tmp_path / "index" / "suffixes.npy").dtype == np.int64) == force64
    assert len(np.load(tmp_path / "index" / "bitmaps.npy")) > 20
    for phrase in ["a", "b", "aa", "aaa", " ", "é", "a" * 12, "cab", "é é", "a" * 199]:
        assert index.documents(phrase).tolist() == [row for row, text in enumerate(crowd) if phrase in text]


@given(st.lists(st.integers(0, 3 * PAGE), min_size=1, max_size=60))
@settings(deadline=None)
def test_every_offset_belongs_to_its_document(sizes):
    starts = np.cumsum([0, *sizes])
    offsets = np.random.default_rng(0).permutation(starts[-1])
    expected = np.repeat(np.arange(len(sizes)), sizes)[offsets]
    assert documents_at(offsets, starts, documents_by_page(starts)).tolist() == expected.tolist()


def test_long_and_odd_texts(tmp_path):
    long = "ab" * 50_000
    index = SuffixArray.build([[long], ["🙂" * 25_000, ""], ["", "שלום\u202e", "\r\n"]], tmp_path / "index")
    assert index.documents(long).tolist() == [0]
    assert index.documents(long + "a").tolist() == []
    assert index.documents("🙂🙂").tolist() == [1]
    assert index.documents("\r\n").tolist() == [2]
    assert index.documents("ÿ").tolist() == []  # U+00FF, not the byte that ends a text


def test_opened_again_and_by_others_it_answers_the_same(crowd, tmp_path):
    built = SuffixArray.build(([text] for text in crowd), tmp_path / "index")
    files = {path.name: path.read_bytes() for path in (tmp_path / "index").iterdir()}
    again = SuffixArray.build(([text] for text in crowd), tmp_path / "again")
    assert files == {path.name: path.read_bytes() for path in again_folder(tmp_path)}
    opened = SuffixArray(tmp_path / "index")
    for phrase in ["a", "cab", "zzz"]:
        assert built.documents(phrase).tolist() == opened.documents(phrase).tolist() == again.documents(phrase).tolist()


def again_folder(tmp_path):
    return (tmp_path / "again").iterdir()


def test_a_damaged_index_is_refused(tmp_path):
    SuffixArray.build([["some text"], ["and more"]], tmp_path / "index")
    for file in sorted((tmp_path / "index").iterdir()):
        whole = file.read_bytes()
        for damaged in (whole[:-1], whole[: len(whole) // 2], b""):
            file.write_bytes(damaged)
            with pytest.raises(CloserlookError, match=r"workflow/scripts/build_index\.py"):
                SuffixArray(tmp_path / "index")
        file.write_bytes(whole)
        assert SuffixArray(tmp_path / "index").documents("e").tolist() == [0, 1]
    with pytest.raises(CloserlookError, match="build it again"):
        SuffixArray(tmp_path / "nothing")


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def breaking():
        yield ["text"]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SuffixArray.build(breaking(), tmp_path / "index")
    with pytest.raises(ValueError, match="no documents"):
        SuffixArray.build([], tmp_path / "index")
    with pytest.raises(UnicodeEncodeError):
        SuffixArray.build([["\ud800"]], tmp_path / "index")
    assert not list(tmp_path.iterdir())
