"""Words of any text: their offsets, and no grapheme is split."""

import time

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from closerlook.text.words import join_words, words_of

odd = st.sampled_from(
    [
        *"aZ9 .'’-\n\0ßİ",
        *(
            "\u0301",
            "\u200d",
            "\u200c",
            "\ufe0f",
            "\u20e3",
            "\u102b",
        ),  # accent, joiners, variation, keycap, Burmese vowel
        *("\u0600", "\u0d4e", "\u0e33", "\uff9e", "\u094d", "क"),  # belong to what follows, or to what goes before
        *("👩", "🇩", "ℹ", "각", "\u1100", "中", "א", "\ud800"),
    ]
)
texts = st.lists(odd, max_size=25).map("".join) | st.text(max_size=60)


@settings(max_examples=400, deadline=None)
@given(texts)
@example("\u094dक")
@example("\u094d\u200dक")
@example("don't re-enter the 'quoted' - 3.5 e\u0301te\u0301")
def test_words_are_where_they_say(text):
    words = words_of(text)
    borders = {0, *(match.end() for match in regex.finditer(r"\X", text))}
    behind = 0
    for word in words:
        assert word.text == text[word.start : word.end].casefold()
        assert behind <= word.start < word.end
        assert word.end in borders, "a grapheme was split"
        # A mark that no letter goes before belongs to nothing; `regex` takes a leading virama and a letter for one grapheme.
        assert word.start in borders or regex.search(r"(?:^|[^\p{L}\p{M}\u200d])[\p{M}\u200d]+$", text[: word.start])
        assert not any(letter.isspace() for letter in word.text)
        behind = word.end
    between = "".join(
        text[start:end]
        for start, end in zip([0, *(w.end for w in words)], [*(w.start for w in words), None], strict=True)
    )
    assert not any(letter.isascii() and letter.isalnum() for letter in regex.sub(r"\X", lambda m: m[0][0], between))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("...", []),
        ("Don't STOP", ["don't", "stop"]),
        ("a well-known rock ’n’ roll", ["a", "well-known", "rock", "n", "roll"]),
        ("--x-- 'y'", ["x", "y"]),
        ("3.5 (1,000)", ["3", "5", "1", "000"]),
        ("Straße ÉCOLE e\u0301cole", ["strasse", "école", "e\u0301cole"]),
        ("❤\ufe0fnext 1\ufe0f\u20e3", ["next", "1\ufe0f\u20e3"]),
        ("שלום עולם", ["שלום", "עולם"]),
        ("a\0b", ["a", "b"]),
    ],
)
def test_examples(text, expected):
    assert [word.text for word in words_of(text)] == expected


def test_offsets_are_of_the_text_as_it_stands():
    text = "İstanbul ﬁx"  # both grow when casefolded
    assert [(word.text, word.start, word.end) for word in words_of(text)] == [("i̇stanbul", 0, 8), ("fix", 9, 11)]


@given(st.lists(texts, max_size=4), st.lists(texts, max_size=3))
@settings(deadline=None)
def test_rendered_finds_whole_words(text, phrase):
    text_words, phrase_words = ([word.text for part in parts for word in words_of(part)] for parts in (text, phrase))
    runs = [text_words[start : start + len(phrase_words)] for start in range(len(text_words))]
    if phrase_words:
        assert (join_words(phrase_words) in join_words(text_words)) == (phrase_words in runs)
    else:
        assert join_words(phrase_words) == ""


@pytest.mark.parametrize(
    "letter", ["a", "'", "-", "a'", "\u0301", "e\u0301", "🙂", "\u200d", "\u0600", "\u0600a", "a-", " ", "\0"]
)
def test_long_texts_take_no_time(letter):
    start = time.perf_counter()
    words_of(letter * (100_000 // len(letter)))
    assert time.perf_counter() - start < 5
