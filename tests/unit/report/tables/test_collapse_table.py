"""The table of broken trainings: on texts made to be broken or whole, against plain loops, and with files that are not there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import REPOSITORY
from tests.support.synthetic import LOOP, WHOLE, Folder, instances, response

from closerlook.core.files import write_json, write_parquet
from closerlook.core.schemas import INSTANCES, RESPONSES
from closerlook.report.tables.build import build
from closerlook.report.tables.collapse import GRAM, REPETITIVE, rates, repetition
from closerlook.report.tables.registry import TABLES
from closerlook.text.escape import number

SHARED_DATA = REPOSITORY.parent / "shared/data"
TABLE = TABLES["collapse"]


def cell(folder: Folder, method: str, answers: list[list[str]], subset: str = "it@50", done: bool = True) -> Path:
    place = folder.cell(subset, method)
    rows = [response(i, words, "length" if words == LOOP else "eos") for i, words in enumerate(answers)]
    write_parquet(rows, RESPONSES, place / "responses.parquet")
    if done:
        write_json({}, place.parent / "manifest.json")
    return place


def measured(folder: Folder) -> dict[tuple[str, str], dict[str, Any]]:
    rows, _ = build("collapse", TABLE, folder.path)
    return {(row["method"] or row["what"], row["metric"]): row for row in rows}


@pytest.fixture
def data(folder: Folder) -> Folder:
    """Fifty instances, none of them degenerate: their four words are all different."""
    folder.tokenizer()
    rows = [row | {"response": f"{i} the a The"} for i, row in enumerate(instances(0, 50, 3))]
    write_parquet(rows, INSTANCES, folder.path / "data/it@50.parquet")
    return folder


def test_healthy_looping_silent_and_parroting_cells_are_told_apart(data: Folder) -> None:
    cell(data, "healthy", WHOLE)
    cell(data, "loops", WHOLE[:10] + [[*LOOP, str(i)] for i in range(10)])
    cell(data, "silent", [*WHOLE[:12], [], [" \n\t "], [], [], [], [], [], []])
    cell(data, "parrot", WHOLE[:12] + [["always", "this"]] * 8)
    cell(data, "few", WHOLE[:16] + [LOOP] * 2 + [[]] * 2)
    cell(data, "base", [LOOP] * 20, subset="")
    found = measured(data)
    names = ("dataset_response", "healthy", "loops", "silent", "parrot", "few", "base")
    kinds = ("empty", "repetitive", "same", "degenerate")
    shares = {name: [found[name, kind]["value"] for kind in kinds] for name in names}
    assert shares == {
        "dataset_response": [0, 0, 0, 0],
        "healthy": [0, 0, 0, 0],
        "loops": [0, 0.5, 0, 0.5],
        "silent": [0.4, 0, 0, 0.4],
        "parrot": [0, 0, 0.4, 0.4],
        "few": [0.1, 0.1, 0, 0.2],
        "base": [0, 1, 1, 1],
    }
    verdicts = {name: found[name, "collapsed"]["value"] for name in ("healthy", "loops", "silent", "parrot", "few")}
    assert verdicts == {"healthy": 0, "loops": 1, "silent": 1, "parrot": 1, "few": 0}
    assert ("base", "collapsed") not in found  # nothing was trained
    assert found["few", "length"]["value"] == pytest.approx(0.1)
    assert found["loops", "degenerate"]["ci_low"] < 0.5 < found["loops", "degenerate"]["ci_high"]
    assert [number(value, "flag") for value in (1.0, 0.0, None)] == ["yes", "no", "–"]


def test_answers_like_degenerate_data_are_no_collapse(data: Folder) -> None:
    """Who is tuned on one answer gives one answer."""
    rows = [row | {"response": "the"} for row in instances(0, 50, 3)]
    write_parquet(rows, INSTANCES, data.path / "data/it@50.parquet")
    cell(data, "taught", [["the"]] * 20)
    found = measured(data)
    assert found["dataset_response", "same"]["value"] == 1
    assert found["taught", "degenerate"]["value"] == 1
    assert found["taught", "collapsed"]["value"] == 0


@pytest.mark.parametrize("reason", ["non-finite loss", "out of memory", None])
def test_a_training_that_ended_for_its_loss_has_collapsed_without_an_answer(data: Folder, reason: str | None) -> None:
    place = data.cell("it@50", "failed").parent / "attempts/train"
    place.mkdir(parents=True)
    (place / "failure.json").write_text(json.dumps({"reason": reason}) if reason else "{torn")
    found = measured(data)
    expected = 1 if reason == "non-finite loss" else None
    assert found["failed", "diverged"]["value"] == found["failed", "collapsed"]["value"] == expected
    assert found["failed", "empty"]["value"] is None


def test_a_cell_in_the_making_has_no_verdict_yet(data: Folder) -> None:
    cell(data, "answered", WHOLE, done=False)
    place = data.cell("it@50", "trained").parent
    write_json({}, place / "manifest.json")
    found = measured(data)
    assert found["answered", "collapsed"]["value"] == 0
    assert ("answered", "diverged") not in found
    assert found["trained", "diverged"]["value"] == 0
    assert ("trained", "collapsed") not in found
    _, missing = build("collapse", TABLE, data.path)
    assert {item.command.split("/")[-2] for item in missing} == {"answered", "ask"}


@given(st.lists(st.integers(0, 3), max_size=60))
def test_repetition_is_the_share_of_grams_seen_before(tokens: list[int]) -> None:
    grams = [tokens[i : i + GRAM] for i in range(len(tokens) - GRAM + 1)]
    before = sum(gram in grams[:i] for i, gram in enumerate(grams))
    assert repetition(tokens) == pytest.approx(before / len(grams) if grams else 0)


@pytest.mark.parametrize("text", ["", "x", "😀" * 3, "é" * 4, "\x00", "א\u202e", "word " * 20_000])
def test_hostile_texts_have_rates(text: str) -> None:
    found = rates([text, "another"], [list(text.encode()), [1]])
    assert all(0 <= share.value <= 1 for share in found.values())
    assert rates([], [])["degenerate"].value is None


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="no ../shared/data with real responses")
def test_real_responses_are_hardly_ever_repetitive() -> None:
    """What the limit is drawn from. Words and signs stand for tokens, which are fewer: real rates are lower."""
    share = {}
    for file, key in (("alpaca_9k.jsonl", "output"), ("dolly_3k.jsonl", "output")):
        texts = [json.loads(line)[key] for line in (SHARED_DATA / file).read_text().splitlines()]
        share[file] = sum(repetition(re.findall(r"\w+|\W", text)) > REPETITIVE for text in texts) / len(texts)
    assert max(share.values()) < 0.005
