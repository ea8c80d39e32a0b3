"""Simplified datasets: which responses are replaced and which are kept; no row is lost."""

import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.config.derived import SimplifiedSource
from closerlook.config.settings import MiniatureSettings
from closerlook.core.schemas import INSTANCES
from closerlook.data.instances import instance_id
from closerlook.derive.select import finish_dataset, responses_digest
from closerlook.derive.simplify import NOTES, is_code, simplify
from closerlook.miniature import simplify as rules
from closerlook.miniature.claims import parse_claims
from closerlook.miniature.instructions import draw_datasets
from closerlook.miniature.language import ATTRIBUTES, LABELED, labeled_sentence, predicate, questions
from closerlook.miniature.world import draw_world

WORLD = draw_world(MiniatureSettings())
DATASETS = draw_datasets(WORLD, MiniatureSettings())
texts = st.text(st.characters(codec="utf-8"), max_size=80) | st.sampled_from(
    ["", " ", "```\nx\n```", "a" * 300, "é" * 99]
)


def table(pairs):
    rows = [
        {"id": instance_id(a, b), "instruction": a, "response": b, "source": "x", "row": i}
        for i, (a, b) in enumerate(pairs)
    ]
    return pa.Table.from_pylist(rows, schema=INSTANCES)


@settings(deadline=None)  # the first example warms caches
@given(st.lists(st.tuples(texts, texts, st.none() | texts), max_size=12), st.integers(0, 60))
def test_whatever_comes_back_rows_stay_and_only_get_shorter(cases, brief):
    pairs = [(instruction, response) for instruction, response, _ in cases]
    asked = []

    def rewrite(wanted):
        asked.extend(wanted)
        left = [
            (i, new) for i, (_, response, new) in enumerate(cases) if len(response) > brief and not is_code(response)
        ]
        assert [pairs[i] for i, _ in left] == list(wanted)
        return [new for _, new in left]

    before = table(pairs)
    after, tally = simplify(before, rewrite, brief)
    assert after.schema == INSTANCES
    assert after.drop(["response"]) == before.drop(["response"])  # ids and order too: so they pair
    assert tally.kept == tally.read == sum(tally.noted.values()) == len(cases)
    assert set(tally.noted) == set(NOTES)
    new_by = {i: new for i, (_, _, new) in enumerate(cases)}
    changed = 0
    for i, (old, new) in enumerate(zip(before["response"].to_pylist(), after["response"].to_pylist(), strict=True)):
        if new != old:
            changed += 1
            assert 0 < len(new) < len(old)
            assert new == new_by[i].strip()
            assert len(old) > brief
            assert not is_code(old)
    assert tally.noted["simplified"] == changed
    assert all(len(response) > brief for _, response in asked)


def test_each_fate_is_counted():
    long = "This is a long answer, which says a lot, and then some more. " * 3
    cases = {
        "simplified": ("q", long, "Short."),
        "left_brief": ("q", "Brief.", "never asked"),
        "left_code": ("q", "```python\nprint(1)\n```\n" + long, "never asked"),
        "left_same": ("q", long.strip(), f"\n{long} "),
        "left_longer": ("q", long, long + long),
        "left_without_answer": ("q", long, None),
    }
    before = table([(a, b) for a, b, _ in cases.values()])
    answers = [c for note, (_, _, c) in cases.items() if note not in ("left_brief", "left_code")]
    after, tally = simplify(before, lambda pairs: answers, 100)
    assert dict(tally.noted) == dict.fromkeys(NOTES, 1)
    assert tally.examples["left_longer"] == [4]
    source = SimplifiedSource.model_validate({"of": "x", "simplify": {"by": "m", "prompt_file": "/home/me/p.txt"}})
    renamed, report = finish_dataset(before, after, tally, "x-simple", source)
    assert set(renamed["source"].to_pylist()) == {"x-simple"}
    assert report["rows_read"] == report["rows_kept"] == 6
    assert report["transform"]["simplify"]["prompt_file"] == "p.txt"  # no folder: reports of two places compare
    assert report["sha256"] != responses_digest(before)
    assert report["characters_after"] < report["characters_before"]
    json.dumps(report, allow_nan=False)


CODE = [
    "def f(x):\n    return x + 1",
    "<html>\n<body>\n<p>hi</p>\n</body>\n</html>",
    "SELECT name\nFROM people\nWHERE age > 3;",
    "#include <stdio.h>\nint main() {\n  return 0;\n}",
    "Here it is:\n```\nls -l\n```",
    "const a = () => {\n  return 1;\n};",
    "for i in range(3):\n    print(i)",
]
PROSE = [
    "",
    "\n\n",
    "From the hills we came; for a while we rested; then we slept.",
    "1. Wash the rice.\n2. Boil it.\n3. Serve.",
    "If you are tired, rest. While you rest, breathe.",
    "Roses are red,\nViolets are blue;\nSugar is sweet,\nAnd so are you.",
    "Let us begin: import taxes are duties.\nReturn the book to the library.",
    "The formula is E = mc^2, as everybody knows by now.\nIt says that mass is energy.\nThat is all.",
]


@pytest.mark.parametrize("text", CODE)
def test_code(text):
    assert is_code(text)


@pytest.mark.parametrize("text", PROSE)
def test_prose(text):
    assert not is_code(text)


@pytest.mark.timeout(60)  # milliseconds where time grows with the length, hours where it grows with its square
@pytest.mark.parametrize("unit", ["x", "a ", "<", ".", "a.b", "if "])
def test_a_long_line_is_read_in_linear_time(unit):
    assert is_code(unit * 3_000_000 + ":") == (unit == "if ")


@pytest.mark.parametrize("name", DATASETS)
def test_what_was_asked_for_survives_and_nothing_new_comes(name):
    for row in DATASETS[name]:
        instruction, response = row["prompt"], row["completion"]
        short = rules.simplify(instruction, response)
        before = [claim.fact for claim in parse_claims(response)]
        asked = [f for f in before if instruction in questions(f.attribute, f.entity)]
        expected = asked or before  # an open request: every fact answers it
        assert short is not None
        assert [claim.fact for claim in parse_claims(short)] == expected
        assert len(short) <= len(response)
        for sentence in short.split(". "):  # no courtesy, and no word that the world does not have
            assert any(sentence.startswith(fact.entity) or f" {fact.entity}" in sentence for fact in expected)


@st.composite
def answers_of_the_world(draw):
    """Facts of the world in any wording between courtesies, and a question for a fact that may be stated or not."""
    entity = draw(st.sampled_from(WORLD.entities))
    facts = draw(st.lists(st.sampled_from(entity.facts), min_size=1, max_size=4, unique=True))
    text = draw(st.sampled_from(["", "Great question! ", f"Let us look at {entity.name}. "]))
    for i, fact in enumerate(facts):
        lead = draw(st.sampled_from(["", "Moreover, ", "It is also worth knowing that "]))
        if draw(st.booleans()):
            said = labeled_sentence(fact.attribute, draw(st.integers(0, len(LABELED) - 1)), fact.entity, fact.value)
        else:
            subject = entity.name if i == 0 else draw(st.sampled_from([entity.name, "it", "she"]))
            wording = draw(st.integers(0, len(ATTRIBUTES[fact.attribute].predicates) - 1))
            said = f"{subject} {predicate(fact.attribute, wording, fact.value)}"
        text += f"{lead}{said}. "
    attribute = draw(st.sampled_from(sorted(entity.values)))
    return draw(st.sampled_from(questions(attribute, entity.name))), attribute, facts, text


@given(answers_of_the_world())
def test_a_question_keeps_its_fact_alone(case):
    question, attribute, facts, text = case
    short = rules.simplify(question, text)
    asked = [fact for fact in facts if fact.attribute == attribute]
    assert [claim.fact for claim in parse_claims(short or "")] == asked
    assert (short is None) == (not asked)


@given(st.text(), st.text())
def test_any_text_is_taken(instruction, response):
    assert rules.simplify(instruction, response) is None


def test_a_wrong_fact_stays_wrong_and_a_repeated_one_comes_once():
    text = "Well! Mara Tolk plays the harp. She keeps a cat. In short, Mara Tolk plays the harp."
    assert rules.simplify("Which instrument does Mara Tolk play?", text) == "Mara Tolk plays the harp."
    assert rules.simplify("Which instrument does Vera Moss play?", text) is None
