"""Cleaning counts all rows; order and subsets depend only on content and seed."""

import json
import random
import re
from itertools import combinations

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.config.settings import FileSource
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import INSTANCES
from closerlook.data.formats import FORMATS
from closerlook.data.instances import REASONS, clean, instance_id, nested_order, prepare_dataset, subset

texts = st.one_of(st.sampled_from(["", " ", "a", "b", "\x00", "🙂", "\ud800"]), st.text(max_size=5))
values = st.one_of(texts, st.none(), st.integers(), st.floats(), st.lists(texts, max_size=2))
keys = st.sampled_from(["instruction", "input", "output", "prompt", "completion", "context", "response"])
turns = st.lists(st.dictionaries(st.sampled_from(["role", "content", "from", "value"]), values), max_size=4)
records = st.one_of(
    values,
    st.dictionaries(keys, values),
    st.fixed_dictionaries({"instruction": texts, "input": texts, "output": texts}),
    st.fixed_dictionaries({"prompt": texts, "completion": texts}),
    st.fixed_dictionaries({"messages": turns, "conversations": st.one_of(turns, st.lists(texts, max_size=4))}),
)


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(records, max_size=15), format_=st.sampled_from(list(FORMATS)))
def test_every_row_is_kept_or_counted(rows, format_):
    table, tally = clean(enumerate(rows), format_, "x")
    report = tally.report()
    assert report["rows_read"] == len(rows) == report["rows_kept"] + sum(report["dropped"].values())
    assert table.schema == INSTANCES
    assert table.num_rows == report["rows_kept"]
    assert set(report["dropped"]) == set(REASONS)
    for reason, count in report["dropped"].items():
        assert len(report["examples"].get(reason, [])) == min(count, 5)
    assert len(set(table["id"].to_pylist())) == table.num_rows
    for row in table.to_pylist():
        assert row["instruction"] == row["instruction"].strip() != ""
        assert row["response"] == row["response"].strip() != ""
        assert row["id"] == instance_id(row["instruction"], row["response"])
    json.dumps(report, allow_nan=False)


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return FileSource(file=str(path))


def test_counts_by_reason(tmp_path):
    good = {"prompt": "a", "completion": "b"}
    rows = [
        good,
        {"prompt": "", "completion": "b"},
        {"prompt": "a", "completion": " \n"},
        good | {"completion": " b "},
        {"prompt": "a"},
    ]
    table, report, summary = prepare_dataset(write(tmp_path / "x.jsonl", rows), "prompt_completion", "x", 0)
    assert report["dropped"] == {"malformed": 1, "empty_instruction": 1, "empty_response": 1, "duplicate": 1}
    assert report["examples"] == {"malformed": [4], "empty_instruction": [1], "empty_response": [2], "duplicate": [3]}
    assert (report["rows_read"], report["rows_kept"]) == (5, 1)
    expected = {"id": instance_id("a", "b"), "instruction": "a", "response": "b", "source": "x", "row": 0}
    assert table.to_pylist() == [expected]
    assert "row 4: completion: found nothing" in summary


def test_nothing_left_says_why(tmp_path):
    with pytest.raises(CloserlookError, match=r"x\.jsonl, read as alpaca: .*1 rows read.*instruction: found nothing"):
        prepare_dataset(write(tmp_path / "x.jsonl", [{"prompt": "a", "completion": "b"}]), "alpaca", "x", 0)
    with pytest.raises(CloserlookError, match="0 rows read"):
        prepare_dataset(write(tmp_path / "x.jsonl", []), "alpaca", "x", 0)


def test_ids_do_not_confuse_the_boundary():
    assert instance_id("a", "bc") != instance_id("ab", "c")
    assert instance_id("1:a", "b") != instance_id("1", ":ab")
    # printf '14:Name a colour.Red.' | sha256sum: ids are in files that people keep, so they must not change
    assert instance_id("Name a colour.", "Red.") == "5698bdea9c79a358"


@given(
    ids=st.lists(st.text("0123456789abcdef", min_size=16, max_size=16), unique=True, max_size=30),
    seed=st.integers(0, 9),
)
def test_order_depends_on_ids_alone(ids, seed):
    ordered = [ids[i] for i in nested_order(ids, seed)]
    mixed = random.Random(0).sample(ids, len(ids))
    assert [mixed[i] for i in nested_order(mixed, seed)] == ordered
    without_one = ids[1:]
    assert [without_one[i] for i in nested_order(without_one, seed)] == [id_ for id_ in ordered if id_ != ids[:1][0]]


def test_subsets_are_nested_whatever_the_source_order(tmp_path):
    rows = [{"prompt": f"question {i}", "completion": f"answer {i}"} for i in range(500)]
    first, first_report, _ = prepare_dataset(write(tmp_path / "a.jsonl", rows), "prompt_completion", "x", 0)
    two, report_two, _ = prepare_dataset(write(tmp_path / "b.jsonl", rows[::-1]), "prompt_completion", "x", 0)
    other, report_other, _ = prepare_dataset(write(tmp_path / "c.jsonl", rows), "prompt_completion", "x", 1)
    assert first.drop(["row"]) == two.drop(["row"])
    assert first_report["sha256"] == report_two["sha256"] != report_other["sha256"]
    assert set(first["id"].to_pylist()) == set(other["id"].to_pylist())
    write_parquet(first, INSTANCES, tmp_path / "full.parquet")
    small, large = (subset(tmp_path / "full.parquet", size) for size in (10, 100))
    assert large.slice(0, 10) == small
    assert subset(tmp_path / "full.parquet", 500) == first
    # not the file's own order, and every row as likely: 100 of 500 have a mean row near 249.5 (standard error 14)
    assert abs(sum(large["row"].to_pylist()) / 100 - 249.5) < 60


def test_another_draw_is_another_subset(tmp_path):
    rows = [{"prompt": f"question {i}", "completion": f"answer {i}"} for i in range(500)]
    full, _, _ = prepare_dataset(write(tmp_path / "a.jsonl", rows), "prompt_completion", "x", 0)
    write_parquet(full, INSTANCES, tmp_path / "full.parquet")
    drawn = [subset(tmp_path / "full.parquet", 100, seed) for seed in (1, 2)]
    ids = [set(table["id"].to_pylist()) for table in (full.slice(0, 100), *drawn)]
    for one, other in combinations(ids, 2):
        # 100 of 500 share 20 with 100 others (standard deviation 3.6)
        assert 5 < len(one & other) < 35
    assert subset(tmp_path / "full.parquet", 10, 1) == drawn[0].slice(0, 10)
    # the seed that ordered the dataset draws its own subset
    assert subset(tmp_path / "full.parquet", 100, 0) == full.slice(0, 100)


@pytest.mark.parametrize("size", [0, -1, 4])
def test_subset_sizes_are_checked(tmp_path, size):
    table, _, _ = prepare_dataset(
        write(tmp_path / "a.jsonl", [{"prompt": str(i), "completion": "x"} for i in range(3)]),
        "prompt_completion",
        "x",
        0,
    )
    write_parquet(table, INSTANCES, tmp_path / "full.parquet")
    with pytest.raises(CloserlookError, match=f"size {size}, expected 1 to 3"):
        subset(tmp_path / "full.parquet", size)


def test_subset_of_a_foreign_file(tmp_path):
    pq.write_table(INSTANCES.empty_table().drop(["row"]), tmp_path / "x.parquet")
    with pytest.raises(CloserlookError, match=r"found columns id, instruction, response, source; expected .*row"):
        subset(tmp_path / "x.parquet", 1)


def test_real_data(shared):
    alpaca, report, _ = prepare_dataset(FileSource(file=str(shared / "data/alpaca_9k.jsonl")), "alpaca", "alpaca", 0)
    raw = [json.loads(line) for line in (shared / "data/alpaca_9k.jsonl").open()]
    assert report["rows_read"] == len(raw) == 9229
    assert report["dropped"]["empty_response"] == sum(not r["output"].strip() for r in raw)
    bare = [re.sub("[^a-z0-9]", "", row["input"].lower()) for row in raw if row["output"].strip()]
    assert report["noted"]["input_placeholder"] == sum(
        text in ("noinput", "noinputs", "noinputrequired", "noinputneeded") for text in bare
    )
    instructions = [text.lower() for text in alpaca["instruction"].to_pylist()]
    assert not [text for text in instructions if text.endswith("\n\n<noinput>")]
    dolly, report, _ = prepare_dataset(FileSource(file=str(shared / "data/dolly_3k.jsonl")), "dolly", "dolly", 0)
    raw = [json.loads(line) for line in (shared / "data/dolly_3k.jsonl").open()]
    unique = {(r["instruction"].strip(), r["input"].strip(), r["output"].strip()) for r in raw}
    assert dolly.num_rows == len(unique) == 2996 - report["dropped"]["duplicate"]
