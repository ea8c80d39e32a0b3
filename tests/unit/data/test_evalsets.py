"""Evaluation instructions: fields, selection, counts."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.config.settings import FileSource
from closerlook.core.errors import CloserlookError
from closerlook.core.schemas import EVALSET
from closerlook.data.evalsets import clean, prepare_evalset


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return FileSource(file=str(path))


def test_fields(tmp_path):
    rows = [
        {
            "id": 7,
            "instruction": " Why? ",
            "task_types": ["math"],
            "topics": ["stem", "ethics"],
            "reference": "Because.",
        },
        {"instruction": "How?", "gpt-4-answer": "So."},
        {"id": "q", "instruction": "Who?", "task_types": [], "topics": None, "reference": " ", "category": 3},
    ]
    table, report, summary = prepare_evalset(write(tmp_path / "x.jsonl", rows), "x")
    assert table.schema == EVALSET
    assert [list(row.values()) for row in table.to_pylist()] == [
        ["7", "Why?", ["math"], ["stem", "ethics"], "Because.", "x"],
        ["1", "How?", [], [], "So.", "x"],
        ["q", "Who?", [], [], None, "x"],
    ]
    assert report["source"] == {"file": "x.jsonl"}
    assert summary == "3 rows read, 3 kept"


@pytest.mark.parametrize(
    "wrong",
    [
        {"instruction": None},
        {"instruction": float("nan")},
        {"id": True},
        {"id": 1.5},
        {"id": ""},
        {"id": ["x"]},
        {"task_types": "math"},
        {"task_types": [1]},
        {"topics": {"a": 1}},
        {"reference": 3},
        {"instruction": "\ud800"},
        {"id": "\ud800"},
    ],
)
def test_wrong_fields_are_malformed(wrong):
    questions, tally = clean(iter([(0, {"instruction": "Why?"} | wrong)]), "x", None, None)
    assert questions == []
    assert tally.dropped["malformed"] == 1


def test_selection_and_duplicates(tmp_path):
    rows = [{"id": min(i, 8), "instruction": "same" if i in (3, 4) else f"q{i}"} for i in range(10)]
    source = write(tmp_path / "x.jsonl", rows)
    table, report, _ = prepare_evalset(source, "x", rows=(2, 10), limit=5)
    assert table["id"].to_pylist() == ["2", "3", "4", "5", "6"]
    expected = {"outside_rows": 2, "over_limit": 3, "malformed": 0, "empty_instruction": 0, "duplicate_id": 0}
    assert report["dropped"] == expected
    assert report["noted"] == {"duplicate_instruction": 1}
    assert report["rows_read"] == 10 == report["rows_kept"] + sum(report["dropped"].values())
    _, report, _ = prepare_evalset(source, "x")
    assert report["dropped"]["duplicate_id"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": (0, 4)}, r"rows \[0, 4\], found 3"),
        ({"rows": (2, 2)}, r"expected \[first, last\)"),
        ({"rows": (-1, 2)}, r"expected \[first, last\)"),
        ({"limit": 0}, "limit: found 0"),
    ],
)
def test_selection_errors(tmp_path, arguments, message):
    source = write(tmp_path / "x.jsonl", [{"instruction": str(i)} for i in range(3)])
    with pytest.raises(CloserlookError, match=message):
        prepare_evalset(source, "x", **arguments)


def test_nothing_left(tmp_path):
    with pytest.raises(
        CloserlookError, match=r"no instruction left: 1 rows read.*instruction: found nothing, expected text"
    ):
        prepare_evalset(write(tmp_path / "x.jsonl", [{"prompt": "Why?"}]), "x")


anything = st.one_of(
    st.none(), st.text(max_size=3), st.integers(), st.floats(), st.lists(st.text(max_size=2), max_size=2)
)
question = st.dictionaries(st.sampled_from(["id", "instruction", "task_types", "topics", "reference"]), anything)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.one_of(question, anything), max_size=12),
    selection=st.none() | st.tuples(st.integers(0, 5), st.integers(6, 12)),
    limit=st.none() | st.integers(1, 4),
)
def test_every_row_is_kept_or_counted(rows, selection, limit):
    questions, tally = clean(enumerate(rows), "x", selection, limit)
    assert tally.read == len(rows) == len(questions) + tally.dropped.total()
    assert len({q["id"] for q in questions}) == len(questions) <= (limit or len(rows))


def test_real_data(shared):
    table, report, _ = prepare_evalset(
        FileSource(file=str(shared / "data/just_eval_instruct.jsonl")), "just-eval", (0, 800)
    )
    assert table["id"].to_pylist() == [str(i) for i in range(800)]
    assert report["dropped"]["outside_rows"] == 200
    assert all(table["task_types"].to_pylist()), "every one of the first 800 has a task type"
    table, _, _ = prepare_evalset(FileSource(file=str(shared / "data/medinstruct_test.jsonl")), "med")
    assert table.num_rows == 216
    assert all(table["reference"].to_pylist())
