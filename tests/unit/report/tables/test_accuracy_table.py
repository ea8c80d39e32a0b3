"""Accuracy on a world of three entities, by hand."""

from pathlib import Path

import pytest

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import EVALSET, RESPONSES
from closerlook.miniature.language import KINDS, predicate
from closerlook.miniature.world import Entity, World
from closerlook.report.tables.accuracy import measure_descriptions, measure_facts

KIND = KINDS["person"]
ATTRIBUTE = next(iter(KIND.attributes))
VALUES = KIND.attributes[ATTRIBUTE].values
KNOWN, OTHER, UNKNOWN = (f"{KIND.first[i]} {KIND.second[i]}" for i in range(3))


def says(name: str, value: str) -> str:
    return f"{name} {predicate(ATTRIBUTE, 0, value)}."


def asked(id_: str, name: str, task_type: str = "fact", topics: tuple[str, ...] = ("person", "known")) -> dict:
    reference = says(name, VALUES[0])
    return {
        "id": id_,
        "instruction": "?",
        "task_types": [task_type],
        "topics": list(topics),
        "reference": reference,
        "source": "m",
    }


def response(id_: str, text: str) -> dict:
    return {"id": id_, "prompt": "?", "prompt_token_ids": [1], "token_ids": [1], "text": text, "finish_reason": "eos"}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    entities = [Entity(name, "person", name != UNKNOWN, {ATTRIBUTE: VALUES[0]}, ()) for name in (KNOWN, OTHER, UNKNOWN)]
    World(tuple(entities)).save(tmp_path / "world.json")
    return tmp_path / "world.json"


def measure(function, responses: list[dict], questions: list[dict], world: Path) -> dict:
    write_parquet(responses, RESPONSES, world.parent / "responses.parquet")
    write_parquet(questions, EVALSET, world.parent / "ask.parquet")
    measured = function(world.parent / "responses.parquet", world.parent / "ask.parquet", world)
    return {(keys["facts"], keys["task_type"], metric): e for keys, metric, e in measured}


def test_by_hand(world: Path) -> None:
    questions = [
        asked("1", KNOWN),
        asked("2", OTHER),
        asked("3", KNOWN),
        asked("4", UNKNOWN, topics=("person", "unknown")),
    ]
    questions.append(asked("5", KNOWN, "describe"))
    responses = [
        response("1", says(KNOWN, VALUES[0])),
        response(
            "2", f"{says(KNOWN, VALUES[0])} {says(OTHER, VALUES[1])}"
        ),  # right about another, wrong about the one asked
        response("3", "I do not know. | <b>"),
        response("4", says(UNKNOWN, VALUES[2])),
        response("5", f"{says(KNOWN, VALUES[0])} {says(KIND.first[5] + ' ' + KIND.second[5], VALUES[0])}"),
    ]
    found = measure(measure_facts, responses, questions, world)
    known = {metric: e.value for (facts, _, metric), e in found.items() if facts == "known"}
    third = pytest.approx(1 / 3)
    assert known == {
        "right": third,
        "wrong": third,
        "none": third,
        "chance": pytest.approx(1 / len(VALUES)),
        "claims": 1.0,
        "claims_right": pytest.approx(2 / 3),
        "claims_wrong": third,
        "claims_unverifiable": 0.0,
    }
    assert found[("known", "fact", "claims_right")].n_null == 1  # the response that claims nothing
    assert found[("unknown", "fact", "wrong")][0::3] == (1.0, 1)
    described = measure(measure_descriptions, responses, questions, world)
    assert described[("known", "describe", "claims_unverifiable")].value == 0.5
    assert ("known", "describe", "right") not in described
    assert not [key for key in described if key[0] == "unknown"]


def test_foreign_questions_are_refused(world: Path) -> None:
    with pytest.raises(CloserlookError, match="expected one of known and unknown"):
        measure(measure_facts, [response("1", "")], [asked("1", KNOWN, topics=("humanities",))], world)
    with pytest.raises(CloserlookError, match="answers no question"):
        measure(measure_facts, [response("9", "")], [asked("1", KNOWN)], world)
