"""Paraphrased evalsets: by the miniature's rules, and by a model with arbitrary answers."""

import json
import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import REPOSITORY
from tests.support.files import json_file

from closerlook.config.catalog import ParaphraseSettings
from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_parquet
from closerlook.core.schemas import EVALSET
from closerlook.derive.paraphrase import (
    original_of,
    paraphrase,
    paraphrase_by_model,
    paraphrase_by_rules,
    read_wordings,
)
from closerlook.llm.cache import Answer
from closerlook.miniature.language import questions
from closerlook.miniature.paraphrase import paraphrases
from closerlook.miniature.questions import draw_questions
from closerlook.miniature.world import draw_world

texts = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(["", " ", "a", "A", "a  b", "A b", "\0"])


def evalset(instructions):
    rows = [
        {"id": f"i/{n}", "instruction": text, "task_types": ["fact"], "topics": ["t"], "reference": "r", "source": "e"}
        for n, text in enumerate(instructions)
    ]
    return pa.Table.from_pylist(rows, schema=EVALSET)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=9), st.lists(texts, max_size=8)), max_size=6), st.integers(1, 3))
def test_every_wording_is_kept_or_counted(cases, count):
    before = evalset([instruction for instruction, _ in cases])

    def write_paraphrases(asked):
        assert list(asked) == before["instruction"].to_pylist()
        return [found for _, found in cases]

    if not any(
        text.strip() and text.casefold().split() != instruction.casefold().split()
        for instruction, found in cases
        for text in found
    ):
        with pytest.raises(CloserlookError, match="no usable paraphrase"):
            paraphrase(before, "p", count, write_paraphrases)
        return
    after, tally, facts = paraphrase(before, "p", count, write_paraphrases)
    assert tally.read == sum(len(found) for _, found in cases)
    rows = after.to_pylist()
    assert len(rows) == tally.kept
    assert len({row["id"] for row in rows}) == len(rows)
    of = {row["id"]: [] for row in before.to_pylist()}
    for row in rows:
        of[original_of(row["id"])].append(row["instruction"])
        assert (row["task_types"], row["topics"], row["reference"], row["source"]) == (["fact"], ["t"], "r", "p")
    for (instruction, found), kept in zip(cases, of.values(), strict=True):
        assert len(kept) <= count
        plain = [" ".join(text.casefold().split()) for text in kept]
        assert len(set(plain)) == len(plain)
        assert " ".join(instruction.casefold().split()) not in plain
        assert [text for text in map(str.strip, found) if text in kept][:1] == kept[:1]
    assert facts == {"instructions": len(cases), "without_paraphrase": sum(not kept for kept in of.values())}
    assert [row["id"] for row in rows][:1] in ([], [f"{original_of(rows[0]['id'])}/p1"])


def test_the_miniatures_questions_keep_their_meaning():
    world = draw_world(MiniatureSettings())
    table = evalset([question["instruction"] for question in draw_questions(world, MiniatureSettings())])
    after, _, facts = paraphrase_by_rules(table, "p", ParaphraseSettings(by="oracle"))
    assert facts["without_paraphrase"] == 0
    asks = {}
    for entity in world.entities:
        for attribute in entity.values:
            asks |= dict.fromkeys(questions(attribute, entity.name), (entity.name, attribute))
    instruction = dict(zip(table["id"].to_pylist(), table["instruction"].to_pylist(), strict=True))
    for row in after.to_pylist():
        original = instruction[original_of(row["id"])]
        assert row["instruction"] != original
        assert asks.get(row["instruction"]) == asks.get(original)


@pytest.mark.parametrize("text", ["", "What is 2 + 2?", "Tell me about .", "Tell me about Mara\nVelt."])
def test_rules_say_nothing_about_other_instructions(text):
    assert paraphrases(text) == []


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('{"paraphrases": ["a", "b"]}', ["a", "b"]),
        ('```json\n["a", 1, null, "b"]\n```', ["a", "b"]),
        ("1. a\n2) b\n", ["a", "b"]),
        ('Sure!\n- "a"\n* b', ["a", "b"]),
        ("I cannot do that.", []),
        ('{"paraphrases": ["a"', []),
        ('{"a": 1}', []),
        ("[" * 100_000, []),
        ("", []),
        (r'["\ud800a"]', ["a"]),
    ],
)
def test_wordings_in_an_answer(answer, found):
    assert read_wordings(answer) == found


@given(texts | st.text(alphabet='[]{}"`1.-\n \\u', max_size=40))
def test_no_answer_is_too_odd(answer):
    assert all(isinstance(text, str) for text in read_wordings(answer))


class Model:
    """A model that answers each request with `say`, like closerlook.llm.endpoint."""

    def __init__(self, say):
        self.say, self.prompts = say, []

    def complete(self, requests, finished=None, usable=None, expected_tokens=None):
        self.prompts = [request.prompt for request in requests]
        answers = [self.say(number) for number in range(len(requests))]
        for number, answer in enumerate(answers):
            finished(number, answer, 0.0)
        return answers


def test_a_models_answers_are_used_and_the_others_counted():
    said = [
        Answer('{"paraphrases": ["one", "two", "three"]}', "m-1"),
        Answer("no idea", "m-1"),
        Answer("", "m-1", refused=True),
        Answer('["Q3", "new"]', "m-1"),
    ]
    model = Model(said.__getitem__)
    settings = ParaphraseSettings(by="gpt", count=2)
    after, tally, facts = paraphrase_by_model(evalset(["q0", "q1", "q2 ${x}", "q3"]), "p", settings, model)
    assert after["instruction"].to_pylist() == ["one", "two", "new"]
    assert after["id"].to_pylist() == ["i/0/p1", "i/0/p2", "i/3/p1"]
    assert tally.dropped == {"empty": 0, "same_words": 1, "repeated": 0, "surplus": 1}
    assert (facts["refused"], facts["unparsable"], facts["without_paraphrase"], facts["by"]) == (1, 1, 2, ["m-1"])
    assert "q2 ${x}" in model.prompts[2]
    assert "Write 2 other wordings" in model.prompts[0]


def test_an_error_is_no_answer():
    model = Model(lambda number: Answer(error="down") if number else Answer('["a"]'))
    with pytest.raises(CloserlookError, match=r"1 of 2 instructions .* because of: down"):
        paraphrase_by_model(evalset(["x", "y"]), "p", ParaphraseSettings(by="gpt"), model)


def test_the_script(tmp_path):
    write_parquet(evalset(["Tell me about Mara Velt.", "Sing!"]), EVALSET, tmp_path / "e.parquet")
    command = [
        sys.executable,
        REPOSITORY / "workflow/scripts/derive_evalset.py",
        "--name",
        "p",
        "--evalset",
        tmp_path / "e.parquet",
    ]
    command += ["--judge", "oracle", "--out", tmp_path / "p.parquet", "--report", tmp_path / "p.json"]

    def call(transform):
        file = json_file(transform, tmp_path / "p.source.json")
        return subprocess.run([*command, "--transform", file], capture_output=True, text=True, timeout=60)

    done = call({"of": "e", "paraphrase": {"by": "oracle", "count": 1}})
    assert done.returncode == 0, done.stderr
    assert read_parquet(tmp_path / "p.parquet")["instruction"].to_pylist() == ["What do you know about Mara Velt?"]
    report = json.loads((tmp_path / "p.json").read_text())
    assert (report["without_paraphrase"], report["dropped"]["surplus"], report["rows_kept"]) == (1, 1, 1)
    wrong = call({"of": "e", "paraphrase": {"by": "oracle", "count": 0}})
    assert wrong.returncode == 2
    assert "paraphrase.count" in wrong.stderr
