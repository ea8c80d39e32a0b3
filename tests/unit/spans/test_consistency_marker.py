"""Words that samples contradict: in constructed and hostile texts, and compared with the miniature's truth."""

import random
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.config.markers import ConsistencySettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import RESPONSES, SPANS
from closerlook.spans.consistency import mark_by_consistency
from closerlook.spans.marks import Response, Rows
from closerlook.text.sentences import sentences_of
from closerlook.text.words import claim_words_of


def sampled(path: Path, texts: dict[str, list[str]]) -> Path:
    blank = {"prompt": "", "prompt_token_ids": [], "token_ids": [], "finish_reason": "eos"}
    rows = [blank | {"id": f"{k}/{id_}", "text": text} for id_, all_ in texts.items() for k, text in enumerate(all_)]
    write_parquet(rows, RESPONSES, path / "samples.parquet")
    return path / "samples.parquet"


def mark(path: Path, cases: list[tuple[str, str, list[str]]], **how: float) -> list[list[str]]:
    """The quotes of each case: instruction, response and samples."""
    responses = [Response(f"a/{i}", question, text) for i, (question, text, _) in enumerate(cases)]
    file = sampled(path, {response.id: case[2] for response, case in zip(responses, cases, strict=True)})
    settings_ = ConsistencySettings.model_validate({"samples": len(cases[0][2])} | how)
    rows = mark_by_consistency(responses, file, settings_)
    write_parquet(rows, SPANS, path / "spans.parquet")
    texts = {response.id: response.text for response in responses}
    assert all(row["quote"] == texts[row["id"]][row["start"] : row["end"]] for row in rows)
    return [[row["quote"] for row in rows if row["id"] == response.id] for response in responses]


ASKED = "When was the Hubble Bridge built?"
SAYS = "Well 😀, the Hubble Bridge was opened to traffic in 1912, by an engineer."


@pytest.mark.parametrize(
    ("samples", "threshold", "quotes"),
    [
        (["The Hubble Bridge was opened to traffic in 1915, by an engineer."] * 2, 0.5, ["1912"]),
        (["The Hubble Bridge was opened to traffic in 1912, by an engineer."] * 2, 0.5, []),
        ([SAYS, SAYS.replace("1912", "1915")], 0.5, ["1912"]),
        ([SAYS, SAYS.replace("1912", "1915")], 0.6, []),
        (
            [SAYS.replace("1912", "1915"), "I have no idea, sorry."],
            1,
            ["1912"],
        ),  # who says nothing of it does not count
        (["It was opened to traffic in 1915 by an engineer. Or was it in 1912?"] * 2, 0.5, []),  # says both
        ([SAYS.replace("1912", "May 1915")] * 2, 0.5, ["1912"]),
        ([SAYS.replace("1912", "1915").upper()] * 2, 0.5, ["1912"]),
        ([SAYS.replace("an engineer", "a painter")] * 2, 0.5, ["an engineer"]),
        (
            [SAYS.replace("1912, by an engineer", "a summer that nobody remembers")] * 2,
            0.5,
            [],
        ),  # too much is otherwise
        ([SAYS.replace("traffic in 1912, by", "all from 1915 on, through")] * 2, 0.5, []),
        (["", ""], 0.5, []),
        (["x", "."], 0.5, []),
    ],
)
def test_known_cases(tmp_path: Path, samples: list[str], threshold: float, quotes: list[str]) -> None:
    assert mark(tmp_path, [(ASKED, SAYS, samples)], threshold=threshold) == [quotes]


def test_words_of_the_instruction_are_given(tmp_path: Path) -> None:
    question = "Is it true that it was opened to traffic in 1912?"
    assert mark(tmp_path, [(question, SAYS, [SAYS.replace("1912", "1915")] * 2)]) == [[]]


def test_what_changes_in_answers_to_many_instructions_is_wording(tmp_path: Path) -> None:
    def case(i: int) -> tuple[str, str, list[str]]:
        text = f"To put it in short words, the answer is very simply number {i}, I believe."
        return f"q{i}", text, [text.replace("short", "simple").replace(f" {i},", f" {i + 100},")] * 2

    assert mark(tmp_path, [case(0)]) == [["short", "0"]]  # who can tell
    assert mark(tmp_path, [case(i) for i in range(3)]) == [[str(i)] for i in range(3)]


def test_samples_that_are_missing_are_named(tmp_path: Path) -> None:
    file = sampled(tmp_path, {"a": ["x", "y"]})
    responses = [Response("a", "q", "x")]
    with pytest.raises(CloserlookError, match="no answer 3 to a, expected 3"):
        mark_by_consistency(responses, file, ConsistencySettings(samples=3))
    assert mark_by_consistency(responses, file, ConsistencySettings(samples=2)) == []


PIECES = ["a", "b", "c.", "1912", ",", "😀", "é", "e\u0301", "\x00", "\n", "שלום", "...", ".*"]
ANY = st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map(" ".join))


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(ANY, ANY, st.lists(ANY, min_size=2, max_size=2)), min_size=1, max_size=3))
def test_any_texts_will_do(tmp_path_factory: pytest.TempPathFactory, cases: list) -> None:
    path = tmp_path_factory.mktemp("any")
    mark(path, cases)
    agreed = [(question, text, [text, text]) for question, text, _ in cases]
    assert mark(path, agreed) == [[] for _ in cases]  # who always says the same does not contradict himself


@settings(deadline=None)
@given(ANY)
def test_words_lie_where_they_say(text: str) -> None:
    words = claim_words_of(text)
    assert all(text[word.start : word.end].casefold() == word.text for word in words)
    assert all(a.end <= b.start for a, b in pairwise(words))
    assert [word for sentence in sentences_of(text) for word in sentence] == words


def test_a_long_text_is_quick(tmp_path: Path) -> None:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefgh", k=5)) for _ in range(2000)]
    text = ". ".join(" ".join(rng.choices(words, k=15)) for _ in range(1100))
    assert len(text) > 98_000
    begun = time.perf_counter()
    mark(tmp_path, [("q", text, [text.replace("abc", "xyz"), " ".join(rng.choices(words, k=16_000))])])
    assert time.perf_counter() - begun < 30


def truth(rng: random.Random, known: bool) -> tuple[str, str, list[str]]:
    """A question whose answer a model knows (always the same) or guesses (drawn each time), in one of three wordings."""
    name = f"{rng.choice('ABCDEFGH')}{rng.randrange(1000)}"
    wordings = (
        "Our {} was last measured at {} metres in height",
        "I think that {} rises to some {} metres",
        "{} has {} m",
    )
    value = rng.randrange(100, 10_000)

    def says() -> str:
        return rng.choice(wordings).format(name, value if known else rng.randrange(100, 10_000))

    return f"How high is {name}?", says(), [says() for _ in range(5)]


def test_guesses_are_told_from_knowledge(tmp_path: Path) -> None:
    rng = random.Random(3)
    known = [rng.random() < 0.5 for _ in range(200)]
    cases = [truth(rng, one) for one in known]
    quotes = mark(tmp_path, cases)
    right = sum(any(q.isdigit() for q in found) for found, one in zip(quotes, known, strict=True) if not one)
    wrong = sum(len(found) for found, one in zip(quotes, known, strict=True) if one)
    assert wrong == 0
    assert right > 0.5 * known.count(False)  # those whose wording came again among the samples, and was long enough


def test_rows_do_not_depend_on_the_other_samples_order(tmp_path: Path) -> None:
    rows: list[Rows] = []
    texts = [SAYS.replace("1912", year) for year in ("1915", "1912", "1920", "1930")]
    for order in (texts, texts[::-1]):
        file = sampled(tmp_path, {"a": order})
        rows.append(mark_by_consistency([Response("a", ASKED, SAYS)], file, ConsistencySettings(samples=4)))
    assert rows[0][0]["note"] == "samples: 1915, 1920, 1930"
    assert [(row["start"], row["end"]) for row in rows[0]] == [(row["start"], row["end"]) for row in rows[1]]
    assert rows[0][0]["marker"] == "consistency@1/4x1.0/0.5"
