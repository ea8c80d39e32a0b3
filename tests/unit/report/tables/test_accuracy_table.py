"""Accuracy on a world of three entities, by hand."""

from pathlib import Path

import pytest

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_json, write_parquet
from closerlook.core.schemas import EVALSET, INSTANCES, RESPONSES
from closerlook.miniature.language import KINDS, predicate
from closerlook.miniature.world import Entity, World
from closerlook.report.tables.accuracy import ACCURACY, compare_with_base, measure_descriptions, measure_facts

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


def tuned_on(folder: Path, facts: list[str], held_out: int = 0) -> tuple[Path, Path]:
    """A dataset of instances that state these facts, and the manifest of a training without the last `held_out`."""
    rows = [
        {"id": f"{i}", "instruction": "?", "response": text, "source": "m", "row": i} for i, text in enumerate(facts)
    ]
    write_parquet(rows, INSTANCES, folder / "data.parquet")
    write_json({"data": {"rows": len(facts) - held_out}}, folder / "manifest.json")
    return folder / "data.parquet", folder / "manifest.json"


def test_by_hand(world: Path) -> None:
    questions = [
        asked("1", KNOWN),
        asked("2", OTHER),
        asked("3", KNOWN),
        asked("4", UNKNOWN, topics=("person", "unseen")),
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
    assert found[("unseen", "fact", "wrong")][0::3] == (1.0, 1)
    described = measure(measure_descriptions, responses, questions, world)
    assert described[("known", "describe", "claims_unverifiable")].value == 0.5
    assert ("known", "describe", "right") not in described
    assert not [key for key in described if key[0] == "unseen"]


def test_taught_facts_are_grouped_by_how_many_trained_instances_state_them(world: Path) -> None:
    names = [f"{first} {second}" for first, second in zip(KIND.first[3:9], KIND.second[4:10], strict=True)]
    times = dict(zip(names, (0, 1, 2, 3, 4, 9), strict=True))
    stated = [says(name, VALUES[0]) for name, count in times.items() for _ in range(count)]
    others = [says(names[0], VALUES[1]), says(KNOWN, VALUES[0])]  # another value; a fact that pre-training stated too
    held_out = [says(names[0], VALUES[0])] * 3
    trained = tuned_on(world.parent, [*stated, *others, *held_out], held_out=3)
    questions = [asked(name, name, topics=("person", "taught")) for name in names] + [asked("k", KNOWN)]
    write_parquet(questions, EVALSET, world.parent / "ask.parquet")
    right = {names[1], names[3], names[4], "k"}
    answers = [response(q["id"], says(q["id"], VALUES[0 if q["id"] in right else 2])) for q in questions[:-1]]
    answers.append(response("k", says(KNOWN, VALUES[0])))
    base = [response(q["id"], says(names[5], VALUES[0]) if q["id"] == names[5] else "") for q in questions]
    for name, rows in (("responses", answers), ("base", base)):
        write_parquet(rows, RESPONSES, world.parent / f"{name}.parquet")
    files = world.parent / "responses.parquet", world.parent / "ask.parquet"

    tuned = {(k["facts"], k["stated"], m): e for k, m, e in measure_facts(*files, world, *trained)}
    assert {key[:2]: (e.value, e.n) for key, e in tuned.items() if key[2] == "right"} == {
        ("known", ""): (1.0, 1),
        ("taught", "0"): (0.0, 1),
        ("taught", "1"): (1.0, 1),
        ("taught", "2-3"): (0.5, 2),
        ("taught", "4+"): (0.5, 2),
    }
    control = {(k["facts"], k["stated"]) for k, _, _ in measure_facts(*files, world)}
    assert control == {("known", ""), ("taught", "")}

    compared = compare_with_base(*files, world.parent / "base.parquet", *trained)
    differences = {(k["facts"], k["stated"], m): e.value for k, m, e in compared}
    assert differences["taught", "4+", "base_right"] == 0.5  # the other one of the two
    assert differences["taught", "4+", "right_minus_base"] == 0.0
    assert differences["taught", "2-3", "right_minus_base"] == 0.5
    assert differences["known", "", "right_minus_base"] == 1.0


def test_a_pair_without_the_bases_answer_is_no_pair(world: Path) -> None:
    trained = tuned_on(world.parent, [says(KNOWN, VALUES[0])])
    write_parquet([asked("1", KNOWN), asked("2", OTHER)], EVALSET, world.parent / "ask.parquet")
    write_parquet([response(i, says(KNOWN, VALUES[0])) for i in "12"], RESPONSES, world.parent / "responses.parquet")
    write_parquet([response("1", "")], RESPONSES, world.parent / "base.parquet")
    files = [world.parent / f"{name}.parquet" for name in ("responses", "ask", "base")]
    found = {metric: e for _, metric, e in compare_with_base(*files, *trained)}
    assert (found["right_minus_base"].value, found["right_minus_base"].n) == (1.0, 1)
    write_parquet([], RESPONSES, world.parent / "base.parquet")
    assert {e.value for _, _, e in compare_with_base(*files, *trained)} == {None}


def test_the_base_is_that_of_the_same_model_and_evalset() -> None:
    row = {"model": "m", "evalset": "ask", "dataset": "d", "size": 1, "seed": 0, "method": "sft", "cell": "m/d/sft"}
    row["truth_known"] = True
    assert not ACCURACY.inputs([row | {"truth_known": False}])
    base = row | {"dataset": "", "size": None, "method": "base", "cell": "m/none/base"}
    responses = "cells/m/none/base/ask/responses.parquet"
    assert responses in ACCURACY.inputs([row, base])
    for other in (base | {"model": "x"}, base | {"evalset": "x"}, base | {"method": "icl"}):
        assert not [path for path in ACCURACY.inputs([row]) if "none" in path]
        compared = next(part for part in ACCURACY.parts if part.measure is compare_with_base)
        assert not list(compared.rows([row, other]))


def test_foreign_questions_are_refused(world: Path) -> None:
    with pytest.raises(CloserlookError, match="expected one of known, taught, beside, unseen"):
        measure(measure_facts, [response("1", "")], [asked("1", KNOWN, topics=("humanities",))], world)
    with pytest.raises(CloserlookError, match="answers no question"):
        measure(measure_facts, [response("9", "")], [asked("1", KNOWN)], world)
