"""The scripts of the data stage as a user runs them: alone, with --help, with mistakes, and twice."""

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from tests.support import REPOSITORY
from tests.support.files import json_file

from closerlook.core.schemas import CONTAMINATION, EVALSET, INSTANCES

SCRIPTS = REPOSITORY / "workflow" / "scripts"


def call(script, *arguments):
    return subprocess.run(
        [sys.executable, SCRIPTS / script, *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    "script", ["prepare_dataset.py", "subset_dataset.py", "prepare_evalset.py", "find_contamination.py"]
)
def test_help(script):
    result = call(script, "--help")
    assert result.returncode == 0
    assert "--out" in result.stdout


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "\n".join(json.dumps({"prompt": f"What is number {i}?", "completion": f"{i}"}) for i in range(20)) + "\n{cut"
    )
    return path


def prepare(rows, out, *more):
    source = json_file({"file": str(rows)}, rows.parent / "toy.source.json")
    options = ["--name", "toy", "--source", source, "--format", "prompt_completion"]
    return call(
        "prepare_dataset.py", *options, "--out", out / "toy.parquet", "--report", out / "toy.report.json", *more
    )


def test_the_whole_stage_twice_gives_the_same_bytes(rows, tmp_path):
    questions = tmp_path / "questions.jsonl"
    questions.write_text("\n".join(json.dumps({"id": i, "instruction": f"what is number {i}"}) for i in range(5)))
    outputs = []
    for name in ("one", "two"):
        out = tmp_path / name
        result = prepare(rows, out)
        assert result.returncode == 0, result.stderr
        assert "toy: 21 rows read, 20 kept; dropped: 1 malformed" in result.stdout
        result = call(
            "subset_dataset.py", "--dataset", out / "toy.parquet", "--size", 7, "--out", out / "toy@7.parquet"
        )
        assert result.returncode == 0, result.stderr
        source = json_file({"file": str(questions)}, tmp_path / "q.source.json")
        files = ["--out", out / "q.parquet", "--report", out / "q.report.json"]
        result = call("prepare_evalset.py", "--name", "q", "--source", source, "--rows", 1, 5, "--limit", 3, *files)
        assert result.returncode == 0, result.stderr
        files = ["--dataset", out / "toy.parquet", "--evalset", out / "q.parquet", "--out", out / "c.parquet"]
        result = call("find_contamination.py", *files)
        assert result.returncode == 0, result.stderr
        assert "3 of 3 instructions also occur" in result.stdout
        outputs.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert outputs[0] == outputs[1]
    for file, schema in [
        ("toy.parquet", INSTANCES),
        ("toy@7.parquet", INSTANCES),
        ("q.parquet", EVALSET),
        ("c.parquet", CONTAMINATION),
    ]:
        assert pq.read_schema(tmp_path / "one" / file).equals(schema)
    assert set(outputs[0]) == {
        "toy.parquet",
        "toy.report.json",
        "toy@7.parquet",
        "q.parquet",
        "q.report.json",
        "c.parquet",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", {"file": "gone.jsonl"}], "error: gone.jsonl: no such file"),
        (["--source", {"file": 1}], "file: found 1"),
        (["--source", "nowhere.json"], "nowhere.json: cannot be read"),
        (["--format", "sharegpt"], "21 rows read, 0 kept; dropped: 21 malformed"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(rows, tmp_path, arguments, message):
    words = [json_file(word, tmp_path / "x.json") if isinstance(word, dict) else word for word in arguments]
    result = prepare(rows, tmp_path / "out", *words)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_size_larger_than_the_dataset(rows, tmp_path):
    assert prepare(rows, tmp_path).returncode == 0
    result = call(
        "subset_dataset.py", "--dataset", tmp_path / "toy.parquet", "--size", 21, "--out", tmp_path / "x.parquet"
    )
    assert result.returncode == 2
    assert "size 21, expected 1 to 20" in result.stderr
