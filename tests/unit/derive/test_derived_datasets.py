"""Datasets sorted by length or filtered by score, as functions and script; derived datasets in a catalog."""

import copy
import json
import math
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import REPOSITORY
from tests.support.files import json_file
from tests.support.preset import FILE, PRESET

from closerlook.config import load
from closerlook.config.derived import LongestSource, ScoredSource, ancestry
from closerlook.config.rows import grid_rows
from closerlook.config.settings import FileSource
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_parquet
from closerlook.core.schemas import INSTANCES
from closerlook.data.instances import instance_id, prepare_dataset, subset
from closerlook.derive.select import filter_by_score, finish_dataset, read_scores, sort_by_length


def table(responses):
    rows = [
        {"id": instance_id(f"q{i}", text), "instruction": f"q{i}", "response": text, "source": "x", "row": 10 * i}
        for i, text in enumerate(responses)
    ]
    return pa.Table.from_pylist(rows, schema=INSTANCES)


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=1, max_size=30), st.data())
def test_a_subset_of_the_longest_is_the_longest(responses, data):
    before = table(responses)
    after, tally = sort_by_length(before)
    assert sorted(after["id"].to_pylist()) == sorted(before["id"].to_pylist())
    assert tally.kept == len(responses)
    size = data.draw(st.integers(1, len(responses)))
    lengths = [len(text) for text in after["response"].to_pylist()]
    assert sorted(lengths[:size]) == sorted(map(len, responses))[-size:]
    # equally long ones keep their order, so that it is always the same subset
    assert after["row"].to_pylist() == sorted(before["row"].to_pylist(), key=lambda r: -len(responses[r // 10]))


SCORES = st.one_of(
    st.none(),
    st.floats(),
    st.integers(-9, 9),
    st.booleans(),
    st.sampled_from(["4.5", " 4 ", "five", "", "nan", "inf", [], {}]),
)


@settings(deadline=None)
@given(st.lists(SCORES, max_size=20), st.sampled_from([-1.0, 0.0, 4.5]))
def test_filter_against_brute_force(scores, minimum):
    before = table(["r"] * len(scores))
    after, tally = filter_by_score(before, scores, minimum)
    expected, none = [], 0
    for row, value in zip(before.to_pylist(), scores, strict=True):
        try:
            number = None if value is True or value is False else float(value)
        except (TypeError, ValueError):
            number = None
        if number is None or not math.isfinite(number):
            none += 1
        elif number >= minimum:
            expected.append(row)
    assert after.to_pylist() == expected
    assert tally.dropped["no_score"] == none
    assert tally.read == len(scores)


def test_scores_of_a_column_of_the_source_stand_by_row(tmp_path):
    rows = [{"prompt": f"q{i}", "completion": "r", "quality": i % 5} for i in range(40)]
    (tmp_path / "x.jsonl").write_text("{cut\n" + "\n".join(map(json.dumps, rows)))
    source = FileSource(file=str(tmp_path / "x.jsonl"))
    before, _, _ = prepare_dataset(source, "prompt_completion", "x", 0)  # shuffled
    transform = ScoredSource(of="x", minimum_score=3, column="quality")
    after, tally = filter_by_score(before, read_scores(before, transform, source), 3)
    assert set(after["instruction"].to_pylist()) == {f"q{i}" for i in range(40) if i % 5 >= 3}
    assert dict(tally.dropped) == {"below_minimum_score": 24, "no_score": 0}
    with pytest.raises(CloserlookError, match=r"x\.jsonl: has no column score"):
        read_scores(before, ScoredSource(of="x", minimum_score=3), source)
    with pytest.raises(CloserlookError, match="needs `scores`, or the source"):
        read_scores(before, transform, None)


def test_scores_of_verdicts(tmp_path):
    before = table(["a", "b", "c"])
    ids = before["id"].to_pylist()
    verdicts = [
        {"id": id_, "aspect": aspect, "score": score}
        for id_, good in zip(ids, (5, None, 2), strict=True)
        for aspect, score in (("helpfulness", good), ("depth", 1))
    ]
    (tmp_path / "v.jsonl").write_text("\n".join(map(json.dumps, verdicts)))
    transform = ScoredSource(of="x", minimum_score=4, scores=str(tmp_path / "v.jsonl"), aspect="helpfulness")
    assert read_scores(before, transform, None) == [5, None, 2]
    with pytest.raises(CloserlookError, match=r"v\.jsonl: row 1: .* id .*`aspect`"):
        read_scores(before, transform.model_copy(update={"aspect": None}), None)
    with pytest.raises(CloserlookError, match="scores none of the 1 instances"):
        read_scores(table(["other"]), transform, None)
    with pytest.raises(CloserlookError, match="row 0: expected the columns id and points"):
        read_scores(before, transform.model_copy(update={"column": "points"}), None)


def test_nothing_left_is_said():
    before = table(["a"])
    after, tally = filter_by_score(before, [1], 4)
    with pytest.raises(CloserlookError, match=r"fine: .* of x .*1 rows read, 0 kept; .*1 below_minimum"):
        finish_dataset(before, after, tally, "fine", ScoredSource(of="x", minimum_score=4))


def call(*arguments):
    script = REPOSITORY / "workflow/scripts/derive_dataset.py"
    command = [sys.executable, script, *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)


def test_the_program_twice_gives_the_same_bytes_and_a_subset_of_it_nests(tmp_path):
    assert "--transform" in call("--help").stdout
    write_parquet(table(["r" * (i * 7 % 13) for i in range(1, 30)]), INSTANCES, tmp_path / "x.parquet")
    outputs = []
    for out in (tmp_path / "one", tmp_path / "two"):
        transform = json_file({"of": "x", "longest": True}, tmp_path / "long.source.json")
        options = ["--name", "long", "--dataset", tmp_path / "x.parquet", "--transform", transform]
        done = call(*options, "--out", out / "long.parquet", "--report", out / "long.report.json")
        assert done.returncode == 0, done.stderr
        assert "long: 29 rows read, 29 kept" in done.stdout
        outputs.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert outputs[0] == outputs[1]
    whole = read_parquet(tmp_path / "one/long.parquet")
    assert whole.schema.equals(INSTANCES)
    assert subset(tmp_path / "one/long.parquet", 5) == whole.slice(0, 5)
    report = json.loads(outputs[0]["long.report.json"])
    assert report["transform"] == {"of": "x", "longest": True}
    assert report["dropped"] == {}


def test_the_program_simplifies_the_miniature_by_rules(tmp_path):
    verbose = "Great question! To begin with, Mara Tolk plays the harp. Moreover, she keeps a cat. Feel free to ask me anything!"
    row = {
        "id": "0" * 16,
        "instruction": "Which pet does Mara Tolk keep?",
        "response": verbose,
        "source": "v",
        "row": 0,
    }
    write_parquet([row], INSTANCES, tmp_path / "v.parquet")
    options = ["--name", "v-simple", "--dataset", tmp_path / "v.parquet", "--out", tmp_path / "s.parquet"]
    transform = json_file({"of": "v", "simplify": {"by": "oracle"}}, tmp_path / "v-simple.source.json")
    options += ["--transform", transform, "--report", tmp_path / "s.report.json"]
    missing = call(*options)
    assert missing.returncode == 2
    assert "--judge: found nothing, expected who simplifies" in missing.stderr
    done = call(*options, "--judge", "oracle")
    assert done.returncode == 0, done.stderr
    (new,) = read_parquet(tmp_path / "s.parquet").to_pylist()
    assert new == row | {"response": "Mara Tolk keeps a cat.", "source": "v-simple"}
    report = json.loads((tmp_path / "s.report.json").read_text())
    assert report["noted"]["simplified"] == 1
    assert report["by"] == "rules of the miniature"


def preset_with(**datasets) -> dict:
    preset = copy.deepcopy(PRESET)
    judges = {"truth": {"oracle": {}}, "gpt": {"openai": "gpt-x"}, "here": {"local": "some/model"}}
    preset["overrides"] = {"datasets": datasets, "judges": judges}
    return preset


SIMPLE = {"source": {"of": "verbose", "simplify": {"by": "truth"}}, "rows": 400}
BAD = {
    "unknown parent": ({"source": {"of": "verbos", "longest": True}, "rows": 1}, "did you mean verbose?"),
    "made of itself": ({"source": {"of": "new", "longest": True}, "rows": 1}, "not derived from new itself"),
    "unknown judge": ({"source": {"of": "verbose", "simplify": {"by": "trut"}}, "rows": 400}, "did you mean truth?"),
    "other rows": (SIMPLE | {"rows": 399}, "datasets.new.rows: found 399, expected 400, the rows of verbose"),
    "more rows": ({"source": {"of": "verbose", "minimum_score": 4}, "rows": 401}, "at most the 400 rows of verbose"),
    "aspect alone": (
        {"source": {"of": "verbose", "minimum_score": 4, "aspect": "depth"}, "rows": 9},
        "source.aspect: found 'depth', expected a file of verdicts under `scores`",
    ),
    "oracle on real data": (
        {"source": {"of": "lima", "simplify": {"by": "truth"}}, "rows": 1030},
        "knows the miniature only",
    ),
    "local": ({"source": {"of": "lima", "simplify": {"by": "here"}}, "rows": 1030}, "vllm serve"),
    "a format": (SIMPLE | {"format": "alpaca"}, "datasets.new.format: found 'alpaca', expected no format"),
    "two sources": ({"source": {"of": "verbose", "longest": True, "hub": "a/b"}, "rows": 400}, "source.of"),
}


@pytest.mark.parametrize("mistake", BAD)
def test_a_mistake_is_refused_by_name(mistake):
    entry, expected = BAD[mistake]
    preset = preset_with(new=entry)
    preset["grid"][0]["datasets"] = ["new"]
    with pytest.raises(CloserlookError) as error:
        load.load(preset, FILE, REPOSITORY)
    assert expected in str(error.value)


def test_a_ring_of_datasets_is_refused():
    ring = {
        name: {"source": {"of": of, "longest": True}, "rows": 5} for name, of in (("a", "b"), ("b", "c"), ("c", "a"))
    }
    with pytest.raises(CloserlookError, match=r"datasets\.a\.source\.of"):
        load.load(preset_with(**ring), FILE, REPOSITORY)


def test_files_that_a_derived_dataset_needs_must_be_there():
    preset = preset_with(
        new={"source": {"of": "gone", "minimum_score": 4}, "rows": 3},
        gone={"source": {"file": "gone.jsonl"}, "format": "alpaca", "rows": 3},
    )
    load.load(preset, FILE, REPOSITORY)  # not in the grid
    preset["grid"][0]["datasets"] = ["new"]
    with pytest.raises(CloserlookError, match=r"datasets\.gone\.source\.file: found 'gone\.jsonl'"):
        load.load(preset, FILE, REPOSITORY)
    preset["overrides"]["datasets"]["new"]["source"]["scores"] = "no.csv"
    with pytest.raises(CloserlookError, match=r"datasets\.new\.source\.scores: found 'no\.csv'"):
        load.load(preset, FILE, REPOSITORY)


def test_pairs_of_the_grid():
    preset = preset_with(simple=SIMPLE, twice={"source": {"of": "simple", "longest": True}, "rows": 400})
    preset["grid"][0] |= {
        "datasets": ["verbose@100", "verbose", "simple@0.1k", "simple", "simple@50", "twice"],
        "methods": ["lft", "sft"],
        "seeds": [0, 1],
    }
    preset["comparison"] = {"judges": ["truth"]}
    configuration = load.load(preset, FILE, REPOSITORY)
    found = {(row.cell, row.original, *row.compared_by) for row in grid_rows(configuration) if row.original}
    assert found == {
        (f"miniature/simple{at}/{run}", f"miniature/verbose{like}/{run}", "truth")
        for at, like in (("@0.1k", "@100"), ("", ""))
        for run in ("lft", "sft", "lft-s1", "sft-s1")
    }
    assert list(ancestry("twice", configuration.catalog.datasets)) == ["twice", "simple", "verbose"]
    assert isinstance(configuration.catalog.datasets["twice"].source, LongestSource)


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        ({"judges": ["trut"]}, "comparison.judges[0]: found 'trut', expected a judge: one of"),
        ({"judges": ["here"]}, "comparison.judges[0]: found 'here', expected a judge behind an endpoint"),
        (
            {"judges": ["truth"]},
            "comparison: found {'judges': ['truth']}, expected a simplified dataset in the grid",
        ),
        ({"labels": "none.csv"}, "comparison.labels: found 'none.csv', expected a file that exists"),
        ({"prompt_file": "none.txt"}, "comparison.prompt_file: found 'none.txt'"),
    ],
)
def test_comparisons_are_checked(comparison, expected):
    with pytest.raises(CloserlookError) as error:
        load.load(preset_with(simple=SIMPLE) | {"comparison": comparison}, FILE, REPOSITORY)
    assert expected in str(error.value)


def test_the_oracle_compares_the_miniature_alone():
    preset = preset_with(simple=SIMPLE) | {"comparison": {"judges": ["truth"]}}
    preset["grid"][1]["evalsets"] = ["just-eval-instruct"]
    with pytest.raises(
        CloserlookError, match=r"comparison\.judges\[0\].*truth, which is unknown for just-eval-instruct"
    ):
        load.load(preset, FILE, REPOSITORY)


def test_two_folders_of_the_repository_hold_prompts_that_can_be_filled():
    from closerlook.derive import simplify
    from closerlook.judge import compare
    from closerlook.llm.prompt_file import read

    assert read(Path(REPOSITORY / "config/prompts/simplify.txt"), simplify.SLOTS).digest
    assert read(Path(REPOSITORY / "config/prompts/compare.txt"), compare.SLOTS).digest
