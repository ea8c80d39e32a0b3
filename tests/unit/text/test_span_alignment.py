"""Quotes are found at their positions in any text, and nowhere else."""

import time
import unicodedata

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from closerlook.text.align import align, normalize

HOSTILE = "aAß İé𝔘😀👩\u200d🚀\u0301\u0323한\u1100\u1161\u11a8क्षि\u09c7\u09beשלום\u202e\x00\n\u00a0\u2003.*+?([\\'\"’“”«–-—ﬁ1,000"
TEXTS = st.one_of(st.text(st.sampled_from(HOSTILE), max_size=60), st.text(max_size=60))


@pytest.mark.parametrize(
    ("text", "quotes", "found"),
    [
        ("She was born in 1912 in Paris.", ["1912", "Paris"], ["1912", "Paris"]),
        ("The art of a party is art.", ["art"], ["art"]),  # the word, not the end of a party
        ("A party is no fun.", ["art"], ["art"]),  # where there is nothing else, within a word
        ("He said  “it’s\nfine” – twice", ['"It\'s fine" - twice'], ["“it’s\nfine” – twice"]),
        ("cafe\u0301 au lait", ["CAFÉ"], ["cafe\u0301"]),
        ("café", ["cafe\u0301"], ["café"]),
        ("cafe\u0301", ["cafe"], ["cafe"]),
        ("STRASSE and Straße", ["straße"], ["STRASSE"]),
        ("ß", ["s"], [None]),  # half a letter
        ("\u1100\u1161\u11a8", ["각"], ["\u1100\u1161\u11a8"]),
        ("😀 Paris 😀 Rome", ["Rome"], ["Rome"]),
        (
            "שלום\u200f עולם, co\u00adop",
            ["שלום עולם", "coop"],
            ["שלום\u200f עולם", "co\u00adop"],
        ),  # invisible: no model quotes it
        ("… he fell", ["... he fell", ".. he"], ["… he fell", None]),
        ("東京は大阪より大きい", ["大阪"], ["大阪"]),
        ("a.c abc", ["a.c", "abc"], ["a.c", "abc"]),
        ("", ["x"], [None]),
        ("x", ["", "  ", "\n"], [None, None, None]),
        ("the moon is made of cheese", ["moon ... cheese", "moons"], [None, None]),
    ],
)
def test_known_cases(text: str, quotes: list[str], found: list[str | None]) -> None:
    positions = align(text, quotes)
    assert [position and text[slice(*position)] for position in positions] == found
    assert text != "The art of a party is art." or positions == [(4, 7)]


def test_a_quote_that_comes_again_is_the_next_occurrence() -> None:
    text = "red, Red, blue, red, reddish"
    assert align(text, ["red", "blue", "red", "RED", "red"]) == [(0, 3), (10, 14), (16, 19), (16, 19), (16, 19)]
    assert align("Red or red", ["RED", "RED", "RED"]) == [(0, 3), (7, 10), (7, 10)]
    assert align("aaa", ["aa", "aa"]) == [(0, 2), (0, 2)]  # occurrences do not overlap


def melts(character: str) -> bool:
    """Whether a character can combine with the one before it."""
    joins = (
        character == "\u200d" or "\u1160" <= character <= "\u11ff"
    )  # the zero-width joiner; Hangul vowels and finals
    return joins or unicodedata.category(character or "x")[0] == "M"


def in_word(text: str, offset: int) -> bool:
    """Whether an offset is within a word."""
    around = text[max(0, offset - 1) : offset + 1]
    return len(around) == 2 and all(c.isalnum() or melts(c) for c in around)


def respelled(draw: st.DrawFn, quote: str) -> str:
    """The same quote with other whitespace, composition and quotation marks."""
    form = draw(st.sampled_from(["same", "blanks", "NFC", "NFD", "signs", "lower"]))
    if form == "blanks":
        return " ".join(quote.split())
    if form == "signs":
        return quote.replace("’", "'").replace("“", '"').replace("”", '"').replace("–", "-")
    return unicodedata.normalize(form, quote) if form in ("NFC", "NFD") else quote.lower() if form == "lower" else quote


@settings(deadline=None, max_examples=400)
@given(st.data(), TEXTS)
def test_every_true_quote_is_found_in_a_place_that_reads_like_it(data: st.DataObject, text: str) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    quote = text[start:end]
    assume(quote.strip())
    (exact,) = align(text, [quote])
    assert exact is not None
    inside = quote.strip()
    if (
        aligned := text[slice(*exact)]
    ) != inside:  # a whole word spelled otherwise comes before the quote within a word
        assert normalize(aligned) == normalize(quote)
        begins = (begin for begin in range(len(text)) if text.startswith(inside, begin))
        assert all(in_word(text, begin) or in_word(text, begin + len(inside)) for begin in begins)
    changed = data.draw(st.composite(respelled)(quote))
    (position,) = align(text, [changed])
    if position is not None:
        assert 0 <= position[0] < position[1] <= len(text)
        assert normalize(text[slice(*position)]) == normalize(changed)
    else:  # what is lost when it is spelled otherwise cuts through a character, or reads otherwise then
        behind = text[start + quote.index(inside) + len(inside) :][:1]
        assert any(melts(c) for c in (inside[0], behind)) or normalize(changed) != normalize(quote)


@settings(deadline=None, max_examples=300)
@given(TEXTS, st.lists(TEXTS, max_size=5))
def test_no_quote_stands_in_a_wrong_place(text: str, quotes: list[str]) -> None:
    for quote, position in zip(quotes, align(text, quotes), strict=True):
        if position is not None:
            assert normalize(text[slice(*position)]) == normalize(quote)
            assert quote.strip()
        else:
            assert not quote.strip() or quote not in text


def test_long_texts_are_quick() -> None:
    text = "The quick “brown”\u00a0fox 😀 jumped. " * 3300 + "THE END"
    assert len(text) > 100_000
    begun = time.perf_counter()
    positions = align(text, ["the end", '"brown" fox', "x" * 5000, "."] * 5)
    assert time.perf_counter() - begun < 10
    assert positions[0] == (len(text) - 7, len(text))
    assert text[slice(*positions[1])] == "“brown”\u00a0fox"  # type: ignore[misc]
