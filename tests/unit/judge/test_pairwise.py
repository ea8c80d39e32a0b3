"""Pairs decided by a judge, which sees each in both orders."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import REPOSITORY
from tests.support.judge_server import Call, Raw, Server, fails, says

from closerlook.config.judges import OpenAIJudge
from closerlook.core.files import write_parquet
from closerlook.core.schemas import PAIRWISE
from closerlook.judge.compare import (
    SLOTS,
    Pair,
    compare_by_judge,
    summary,
)
from closerlook.judge.pairwise import CLASSES, DISAGREEMENT, Opinion, read_opinion, settle
from closerlook.llm.cache import Cache
from closerlook.llm.client import LLMClient
from closerlook.llm.endpoint import Endpoint
from closerlook.llm.prompt_file import read
from closerlook.report.tables.simplification import count_classes

PROMPT = read(REPOSITORY / "config/prompts/compare.txt", SLOTS)


@pytest.mark.parametrize(
    ("answer", "original", "category"),
    [
        ('{"reason": "r", "class": "core", "response": "A"}', "A", "core"),
        ('{"reason": "r", "class": "core", "response": "A"}', "B", "other"),  # it is the simplified one that is wrong
        ('{"class": "longer_preferred", "response": "b"}', "B", "longer_preferred"),
        ('Sure!\n```json\n{"class": "prolonged", "response": "Response A"}\n``` Hope that helps {}', "A", "prolonged"),
        ('{"reason": "curly {braces} and \\"quotes\\"", "class": "different", "response": null}', "A", "different"),
        ('{"class": "BOTH_INACCURATE"}', "A", "both_inaccurate"),
        ('{"class": "core"} no, rather {"class": "other", "response": null}', "A", "other"),
        ('{"class": "core", "response": null}', "A", None),
        ('{"class": "core", "response": "C"}', "A", None),
        ('{"class": "nonsense", "response": "A"}', "A", None),
        ('{"class": ["core"], "response": "A"}', "A", None),
        ('{"class": "core", "response": "A"', "A", None),
        ("<html>502</html>", "A", None),
        ("", "A", None),
        ("core", "A", None),
        ('{"class":' * 5000, "A", None),
    ],
)
def test_answers_are_read(answer: str, original: str, category: str | None) -> None:
    opinion = read_opinion(answer, original)
    assert opinion.category == category
    assert opinion.null_cause == (None if category else "unparsable")


@settings(deadline=None)
@given(st.text(), st.sampled_from("AB"))
def test_any_text_is_read(answer: str, original: str) -> None:
    opinion = read_opinion(answer, original)
    assert (opinion.category is None) == (opinion.null_cause is not None)


@given(st.lists(st.sampled_from([*CLASSES, None]), min_size=1, max_size=5))
def test_opinions_are_settled_whatever_their_order(categories: list[str | None]) -> None:
    opinions = [Opinion(name, name, None if name else "refused") for name in categories]
    found = settle(opinions)
    assert settle(opinions[::-1]).category == found.category
    expected = None if None in categories else categories[0] if len(set(categories)) == 1 else DISAGREEMENT
    assert found.category == expected
    assert (found.null_cause is None) == (expected is not None)


PAIRS = [Pair(str(i), f"q{i}?", f"original {i} says much more", f"simple {i}") for i in range(6)]


def ask(server: Server, cache: Cache) -> LLMClient:
    judge = OpenAIJudge(openai="m", base_url=server.url, retries=0, concurrency=4)
    return LLMClient(Endpoint(judge, cache), "compare")


def shown(call: Call) -> tuple[int, str]:
    """Number of the pair, and the letter of the original response."""
    number = next(i for i in range(len(PAIRS)) if f"\nq{i}?\n" in call.prompt)
    first = call.prompt.index(PAIRS[number].original) < call.prompt.index(PAIRS[number].simplified)
    return number, "A" if first else "B"


def honest(call: Call) -> Raw:
    """A judge that is consistent between orders, except for pair 3, where it prefers the first position."""
    number, letter = shown(call)
    other = "B" if letter == "A" else "A"
    return {
        0: says(json.dumps({"reason": "long", "class": "longer_preferred", "response": letter})),
        1: says(json.dumps({"reason": "wrong", "class": "core", "response": letter})),
        2: says(json.dumps({"reason": "wrong", "class": "prolonged", "response": other})),
        3: says(json.dumps({"reason": "first", "class": "longer_preferred", "response": "A"})),
        4: says("I cannot.", refusal="I cannot.") if letter == "B" else says('{"class": "different"}'),
        5: fails(500) if letter == "A" else says('{"class": "different"}'),
    }[number]


def test_both_orders_are_asked_and_letters_are_mapped_back(tmp_path: Path) -> None:
    with Server(honest) as server, Cache(tmp_path / "c.sqlite") as cache:
        rows = compare_by_judge(PAIRS, ask(server, cache), PROMPT, "m")
        assert Counter(shown(call) for call in server.calls) == {(i, a): 1 for i in range(6) for a in "AB"}
        assert {call.body["response_format"]["json_schema"]["name"] for call in server.calls} == {"comparison"}
        calls = len(server.calls)
        assert compare_by_judge(PAIRS[:5], ask(server, cache), PROMPT, "m") == rows[:5]
        assert len(server.calls) == calls  # all kept
    assert [row["class"] for row in rows] == ["longer_preferred", "core", "other", DISAGREEMENT, None, None]
    assert [row["null_cause"] for row in rows] == [None, None, None, None, "refused", "error"]
    assert (rows[3]["original_first"], rows[3]["simplified_first"]) == ("longer_preferred", "other")
    assert rows[4]["original_first"] == "different"
    assert rows[0]["judge"] == f"m@judge-0613/prompt {PROMPT.digest}"
    assert summary(rows).startswith("6 pairs: 1 longer_preferred")
    write_parquet(rows, PAIRWISE, tmp_path / "p.parquet")
    measured = {metric: e for _, metric, e in count_classes(tmp_path / "p.parquet")}
    assert measured["disagreement"].value == measured["core"].value == 0.25
    assert (measured["core"].n, measured["core"].n_null) == (4, 2)
    assert measured["null_refused"].value == measured["null_error"].value == 1


def test_no_order_and_no_name_is_given_away() -> None:
    text = PROMPT.fill(instruction="q", response_a="one", response_b="two")
    assert not {"original", "simplified", "lima"} & set(text.lower().split())


def test_an_answer_that_cannot_be_read_is_asked_for_once_more(tmp_path: Path) -> None:
    with Server(lambda call: says("Well...")) as server, Cache(tmp_path / "c.sqlite") as cache:
        rows = compare_by_judge(PAIRS[:2], ask(server, cache), PROMPT, "m")
        assert len(server.calls) == 2 * 2 * 2
    assert {row["null_cause"] for row in rows} == {"unparsable"}
