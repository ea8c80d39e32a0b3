"""Tasks in lm-evaluation-harness's format through the workflow, for real: fetched with a network, scored without one."""

import csv
from pathlib import Path

import pytest
import yaml
from tests.support import REPOSITORY
from tests.support.harness_tasks import write_tasks
from tests.support.own_project import PRESET, put_inputs, run

from closerlook.core import layout
from closerlook.core.files import read_parquet

pytestmark = pytest.mark.e2e
RESULTS = "results/mine"
CELLS = ("tiny/ours/lft", "tiny/none/base")
TASKS = ("letters", "texts", "exact")


def test_each_cell_is_scored_on_what_was_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_inputs(tmp_path)
    write_tasks(tmp_path)
    listed = [{"harness": f"{name}.yaml", "limit": 5} for name in TASKS]
    (tmp_path / "list.yaml").write_text(yaml.safe_dump({"tasks": listed}))
    grid = [*PRESET["grid"], {"models": ["tiny"], "methods": ["base"], "evalsets": ["asks"]}]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(PRESET | {"grid": grid, "benchmarks": ["list.yaml"]}))
    command = ("snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", "mine.yaml", "--cores", "2")
    folders = [f"{RESULTS}/{layout.benchmark_data(name)}" for name in TASKS]
    run(tmp_path, *command, *folders)
    for split in ("test", "train"):
        (tmp_path / f"{split}.jsonl").unlink()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    run(tmp_path, *command, f"{RESULTS}/{layout.table('benchmarks')}")

    with (tmp_path / RESULTS / layout.table("benchmarks")).open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["n"]]
    values = {(row["method"], row["task"], row["metric"]): row["value"] for row in rows}
    scored = {
        cell: {name: read_parquet(tmp_path / RESULTS / layout.benchmark(cell, name)) for name in TASKS}
        for cell in CELLS
    }
    for cell, tables in scored.items():
        method = cell.rpartition("/")[2]
        for name in ("letters", "exact"):
            assert tables[name].num_rows == 5
            assert float(values[method, name, "accuracy"]) == sum(tables[name]["correct"].to_pylist()) / 5
        nats = -sum(logs[0] for logs in tables["texts"]["log_probs"].to_pylist())
        tokens = sum(count[0] for count in tables["texts"]["tokens"].to_pylist())
        assert float(values[method, "texts", "nats_per_token"]) == pytest.approx(nats / tokens, rel=1e-3)
    tuned, base = (scored[cell]["letters"]["correct"].to_pylist() for cell in CELLS)
    to_wrong = sum(was and not now for was, now in zip(base, tuned, strict=True)) / 5
    assert float(values["lft", "letters", "flipped_to_wrong"]) == to_wrong
    assert run(tmp_path, *command, "-n").count("benchmark_data") == 0
