"""Pairs decided by the oracle and by people, and the program that compares."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import REPOSITORY
from tests.support.judge_server import Server, says

from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_parquet
from closerlook.core.schemas import EVALSET, PAIRWISE, RESPONSES
from closerlook.judge.compare import (
    Pair,
    compare_by_oracle,
    compare_by_people,
    oracle_opinion,
    read_pairs,
)
from closerlook.judge.pairwise import CLASSES, DISAGREEMENT
from closerlook.miniature.language import predicate, questions
from closerlook.miniature.world import draw_world
from closerlook.report.tables.simplification import CAUSES, count_classes

PAIRS = [Pair(str(i), f"q{i}?", f"original {i} says much more", f"simple {i}") for i in range(6)]
WORLD = draw_world(MiniatureSettings())
ENTITY = next(entity for entity in WORLD.entities if entity.kind == "person")
FACTS = ENTITY.facts
QUESTION = questions(FACTS[0].attribute, ENTITY.name)[0]


def say(*claims: tuple[int, bool]) -> str:
    """Sentences about the facts with these numbers, right or wrong."""
    wrong = {
        f.attribute: next(
            e.values[f.attribute] for e in WORLD.entities if e.kind == "person" and e.values[f.attribute] != f.value
        )
        for f in FACTS
    }
    said = []
    for number, right in claims:
        fact = FACTS[number]
        value = fact.value if right else wrong[fact.attribute]
        said.append(f"{ENTITY.name} {predicate(fact.attribute, 0, value)}.")
    return " ".join(said)


T, F = True, False


@pytest.mark.parametrize(
    ("original", "simplified", "category"),
    [
        (say((0, T), (1, T)), say((0, T)), "longer_preferred"),
        (say((0, T), (1, T)), say((0, T), (2, T)), "different"),
        (say((0, T)), say((0, T)), "other"),  # the same
        (say((0, T)), say((0, T), (1, T)), "other"),  # the simplified says more
        (say((0, F)), say((0, F)), "both_inaccurate"),
        (say((1, T)), "I do not know.", "both_inaccurate"),  # neither answers
        (say((0, T), (1, F)), say((0, T)), "prolonged"),
        (say((0, F), (1, T)), say((0, T)), "core"),
        (say((0, F), (1, F)), say((0, T)), "core"),
        ("", say((0, T)), "core"),
        (say((0, T)), say((0, F)), "other"),
        (say((0, T), (1, F)), say((0, T), (2, F)), "other"),
        (say((0, F)), say((0, T), (1, F)), "other"),
        (say((0, T)), "", "other"),
    ],
)
def test_the_oracle_by_hand(original: str, simplified: str, category: str) -> None:
    assert oracle_opinion(WORLD, QUESTION, original, simplified).category == category


claims = st.lists(
    st.tuples(st.integers(0, len(FACTS) - 1), st.booleans()), max_size=4, unique_by=lambda claim: claim[0]
)


@given(claims, claims)
def test_the_oracle_against_its_definition(original: list, simplified: list) -> None:
    found = oracle_opinion(WORLD, QUESTION, say(*original), say(*simplified)).category
    core = [dict(side).get(0) for side in (original, simplified)]
    clean = [core[i] is True and all(right for _, right in side) for i, side in enumerate((original, simplified))]
    one, two = ({number for number, _ in side} for side in (original, simplified))
    expected = {
        "longer_preferred": all(clean) and one > two,
        "different": all(clean) and bool(one - two) and bool(two - one),
        "both_inaccurate": not core[0] and not core[1],
        "prolonged": clean == [False, True] and core[0] is True,
        "core": clean == [False, True] and core[0] is not True,
    }
    assert [name for name, holds in expected.items() if holds] == ([found] if found != "other" else [])


@given(st.text(), st.text(), st.text())
def test_the_oracle_takes_any_text(instruction: str, original: str, simplified: str) -> None:
    assert oracle_opinion(WORLD, instruction, original, simplified).category == "both_inaccurate"


def test_oracle_rows() -> None:
    (row,) = compare_by_oracle([Pair("1", QUESTION, say((0, T), (1, F)), say((0, T)))], WORLD)
    assert row["class"] == row["original_first"] == row["simplified_first"] == "prolonged"
    assert row["reason"] == "original: core right, 1 of 2 claims false; simplified: core right, 0 of 1 claims false"


def labels(path: Path, rows: list[list[str]], header: str = "cell,evalset,id,class") -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header.split(","), *rows])
    return path


def test_labels_of_people(tmp_path: Path) -> None:
    rows = [
        ["m/s/lft", "ask", "0", "core", "ann"],
        ["m/s/lft", "ask", "0", "core", "bob"],
        ["m/s/lft", "ask", "1", "core", "ann"],
        ["m/s/lft", "ask", "1", "prolonged", "bob"],
        ["m/s/sft", "ask", "2", "other", "ann"],  # another cell
        ["m/s/lft", "med", "9", "other", "ann"],  # another evalset
    ]
    path = labels(tmp_path / "l.csv", rows, "cell,evalset,id,class,labeller")
    found = compare_by_people(PAIRS[:3], path, "m/s/lft", "ask")
    assert [row["class"] for row in found] == ["core", DISAGREEMENT, None]
    assert [row["null_cause"] for row in found] == [None, None, "not labelled"]
    write_parquet(found, PAIRWISE, tmp_path / "p.parquet")
    assert {metric: e.value for _, metric, e in count_classes(tmp_path / "p.parquet")}["null_not_labelled"] == 1


@pytest.mark.parametrize(
    ("rows", "header", "expected"),
    [
        (
            [["c", "ask", "0", "kore"]],
            "cell,evalset,id,class",
            "line 2: found class 'kore', expected a class: .*did you mean core",
        ),
        ([["c", "ask", "77", "core"]], "cell,evalset,id,class", "line 2: id '77' is no instruction of ask"),
        (
            [["c", "ask", "0"]],
            "cell,evalset,id,class",
            "line 2: expected one value for each of cell, evalset, id, class",
        ),
        ([["c", "ask", "0", "core", "x"]], "cell,evalset,id,class", "line 2: expected one value"),
        ([], "cell,id", "has no column evalset, class, found cell, id"),
    ],
)
def test_labels_that_will_not_do(tmp_path: Path, rows: list, header: str, expected: str) -> None:
    with pytest.raises(CloserlookError, match=expected):
        compare_by_people(PAIRS, labels(tmp_path / "l.csv", rows, header), "c", "ask")


def test_pairs_are_matched_by_id(tmp_path: Path) -> None:
    asked = {"task_types": [], "topics": [], "reference": None, "source": "e"}
    write_parquet([{"id": i, "instruction": f"q{i}"} | asked for i in "abc"], EVALSET, tmp_path / "e.parquet")

    def responses(name: str, ids: str) -> Path:
        blank = {"prompt": "", "prompt_token_ids": [], "token_ids": [], "finish_reason": "eos"}
        write_parquet([{"id": i, "text": f"{name} {i}"} | blank for i in ids], RESPONSES, tmp_path / f"{name}.parquet")
        return tmp_path / f"{name}.parquet"

    one, two, short = responses("one", "abc"), responses("two", "cab"), responses("short", "ab")
    assert read_pairs(tmp_path / "e.parquet", one, two)[1] == Pair("b", "qb", "one b", "two b")
    with pytest.raises(CloserlookError, match=r"short\.parquet: has no response to c of .*generate it again"):
        read_pairs(tmp_path / "e.parquet", one, short)


def test_the_table_knows_all_causes_and_refuses_a_foreign_file(tmp_path: Path) -> None:
    blank = {"original_first": None, "simplified_first": None, "reason": None, "judge": "j", "id": "1"}
    for name, cause in (("core", "error"), (None, None), ("kore", None), (None, "bored")):
        write_parquet([blank | {"class": name, "null_cause": cause}], PAIRWISE, tmp_path / "p.parquet")
        with pytest.raises(CloserlookError, match=r"row 0: class .*run its command again"):
            list(count_classes(tmp_path / "p.parquet"))
    write_parquet([blank | {"class": None, "null_cause": cause} for cause in CAUSES], PAIRWISE, tmp_path / "p.parquet")
    measured = {metric: e for _, metric, e in count_classes(tmp_path / "p.parquet")}
    assert measured["core"].value is None
    assert all(measured[f"null_{cause.replace(' ', '_')}"].value == 1 for cause in CAUSES)
    write_parquet([], PAIRWISE, tmp_path / "p.parquet")
    assert {e.value for _, metric, e in count_classes(tmp_path / "p.parquet") if metric in CLASSES} == {None}


def program(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "workflow/scripts/compare.py", *map(str, arguments)]
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY / "src")} | environment
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A question of the miniature, both responses to it, the world, and a label."""
    WORLD.save(tmp_path / "world.json")
    asked = {"task_types": ["fact"], "topics": [], "reference": None, "source": "ask"}
    write_parquet([{"id": "1", "instruction": QUESTION} | asked], EVALSET, tmp_path / "ask.parquet")
    blank = {"id": "1", "prompt": "", "prompt_token_ids": [], "token_ids": [], "finish_reason": "eos"}
    write_parquet([blank | {"text": say((0, T), (1, F))}], RESPONSES, tmp_path / "original.parquet")
    write_parquet([blank | {"text": say((0, T))}], RESPONSES, tmp_path / "simplified.parquet")
    labels(tmp_path / "labels.csv", [["m/s/lft", "ask", "1", "prolonged"]])
    return tmp_path


def pair(files: Path) -> list[object]:
    names = {"original": "original", "simplified": "simplified", "evalset": "ask", "out": "out"}
    return [word for flag, name in names.items() for word in (f"--{flag}", files / f"{name}.parquet")]


@pytest.mark.parametrize("who", ["oracle", "labels", "openai"])
def test_the_program(files: Path, who: str) -> None:
    answer = says('{"reason": "longer by a falsehood", "class": "prolonged", "response": "A"}')
    with Server(lambda call: answer) as server:
        flags = {
            "oracle": ["--judge", "oracle", "--world", files / "world.json"],
            "labels": ["--labels", files / "labels.csv", "--cell", "m/s/lft"],
            "openai": ["--judge", "openai", "--model", "m", "--base-url", server.url, "--cache", files / "c.sqlite"],
        }[who]
        done = program(*pair(files), *flags)
        assert done.returncode == 0, done.stderr
        first = (files / "out.parquet").read_bytes()
        assert program(*pair(files), *flags).returncode == 0
        assert len(server.calls) == (2 if who == "openai" else 0)  # both orders, once
    assert (files / "out.parquet").read_bytes() == first
    table = read_parquet(files / "out.parquet")
    assert table.schema.equals(PAIRWISE)
    assert table["class"].to_pylist() == [DISAGREEMENT if who == "openai" else "prolonged"]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "expected either --judge or --labels"),
        (["--labels", "labels.csv"], "--labels: needs --cell"),
        (["--judge", "oracle"], "--judge oracle: needs --world"),
        (["--judge", "openai"], "--model: found nothing"),
        (["--labels", "none.csv", "--cell", "c"], "none.csv: cannot be read"),
    ],
)
def test_mistakes_are_told_without_a_traceback(files: Path, flags: list[str], expected: str) -> None:
    done = program(*pair(files), *flags)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not (files / "out.parquet").exists()
