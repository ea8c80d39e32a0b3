"""Pairs decided by a judge in both orders, by the oracle, and by people."""

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import REPOSITORY
from tests.support.judge_server import Call, Raw, Server, fails, says

from closerlook.config.judges import OpenAIJudge
from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_parquet
from closerlook.core.schemas import EVALSET, PAIRWISE, RESPONSES
from closerlook.judge import pairwise_oracle
from closerlook.judge.compare import SLOTS, Pair, by_judge, by_oracle, by_people, read_pairs, summary
from closerlook.judge.pairwise import CLASSES, DISAGREEMENT, Opinion, read_opinion, settle
from closerlook.llm.cache import Cache
from closerlook.llm.client import LLMClient
from closerlook.llm.endpoint import Endpoint
from closerlook.llm.prompt_file import read
from closerlook.miniature.language import predicate, questions
from closerlook.miniature.world import draw_world
from closerlook.report.tables.simplification import CAUSES, count_classes

PROMPT = read(REPOSITORY / "config/prompts/compare.txt", SLOTS)
WORLD = draw_world(MiniatureSettings())


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
    """Number of the pair, and the letter under which the original's response is shown."""
    number = next(i for i in range(len(PAIRS)) if f"\nq{i}?\n" in call.prompt)
    first = call.prompt.index(PAIRS[number].original) < call.prompt.index(PAIRS[number].simplified)
    return number, "A" if first else "B"


def honest(call: Call) -> Raw:
    """Sees what it sees, under whatever letter; has a fancy for the first place with pair 3."""
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
        rows = by_judge(PAIRS, ask(server, cache), PROMPT, "m")
        assert Counter(shown(call) for call in server.calls) == {(i, a): 1 for i in range(6) for a in "AB"}
        assert {call.body["response_format"]["json_schema"]["name"] for call in server.calls} == {"comparison"}
        calls = len(server.calls)
        assert by_judge(PAIRS[:5], ask(server, cache), PROMPT, "m") == rows[:5]
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
        rows = by_judge(PAIRS[:2], ask(server, cache), PROMPT, "m")
        assert len(server.calls) == 2 * 2 * 2
    assert {row["null_cause"] for row in rows} == {"unparsable"}


ENTITY = next(entity for entity in WORLD.entities if entity.kind == "person")
FACTS = ENTITY.facts
QUESTION = questions(FACTS[0].attribute, ENTITY.name)[0]


def say(*claims: tuple[int, bool]) -> str:
    """Sentences on the facts with these numbers, right or wrong."""
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
    assert pairwise_oracle.opinion(WORLD, QUESTION, original, simplified).category == category


claims = st.lists(
    st.tuples(st.integers(0, len(FACTS) - 1), st.booleans()), max_size=4, unique_by=lambda claim: claim[0]
)


@given(claims, claims)
def test_the_oracle_against_its_definition(original: list, simplified: list) -> None:
    found = pairwise_oracle.opinion(WORLD, QUESTION, say(*original), say(*simplified)).category
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
    assert pairwise_oracle.opinion(WORLD, instruction, original, simplified).category == "both_inaccurate"


def test_oracle_rows() -> None:
    (row,) = by_oracle([Pair("1", QUESTION, say((0, T), (1, F)), say((0, T)))], WORLD)
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
    found = by_people(PAIRS[:3], path, "m/s/lft", "ask")
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
        by_people(PAIRS, labels(tmp_path / "l.csv", rows, header), "c", "ask")


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
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"} | environment
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
        (["--labels", "none.csv", "--cell", "c"], "none.csv: cannot be read as CSV"),
    ],
)
def test_mistakes_are_told_without_a_traceback(files: Path, flags: list[str], expected: str) -> None:
    done = program(*pair(files), *flags)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not (files / "out.parquet").exists()
