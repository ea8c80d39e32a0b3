"""The workflow for real, on a small miniature: from an empty folder to tables, past a cell that fails, and the same again."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from tests.support import REPOSITORY

from closerlook.config import load
from closerlook.config.rows import grid_rows
from closerlook.report.tables.registry import IDENTITY, TABLES, VALUE

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1500),
]  # the tests share one run: make test keeps a file in one process

EVALSETS = {"evalsets": ["questions"]}
PRESET = {
    "preset": "e2e",
    "template": "miniature",
    "grid": [
        {"models": ["miniature"], "datasets": ["brief@128"], "methods": ["lft", "sft"], **EVALSETS},
        {
            "models": ["miniature"],
            "datasets": ["brief@64"],
            "methods": ["lft", "sft"],
            "evalsets": ["questions", "questions-reworded"],
            "markers": ["consistency"],
        },
        {
            "models": ["miniature"],
            "datasets": ["cut-traced", "cut-half", "cut-similar"],
            "methods": ["sft"],
            **EVALSETS,
        },
        {"models": ["miniature"], "datasets": ["brief@128"], "methods": ["bias"], **EVALSETS},
        {"models": ["miniature"], "datasets": ["verbose@64", "verbose-simple@64"], "methods": ["lft"], **EVALSETS},
        {"models": ["miniature"], "methods": ["base", "icl"], **EVALSETS},
    ],
    "generate": {"max_new_tokens": 32},
    "judges": ["oracle"],
    "comparison": {"judges": ["oracle"]},
    "markers": ["oracle"],
    "tracing": {
        "datasets": ["brief"],
        "unrelated": {"brief": "brief-third"},
        "attribution": ["miniature/brief@64/sft"],
    },
    "overrides": {
        "miniature": {"questions": 40},
        "datasets": {
            f"cut-{take}": {
                "source": {
                    "of": "brief",
                    "without": {
                        "cell": "miniature/brief@64/sft",
                        "evalset": "questions",
                        "marker": "oracle",
                        "take": take,
                        "spans": 8,
                    },
                },
                "rows": 800,
            }
            for take in ("traced", "half", "similar")
        },
        "methods": {
            "lft": {"train": {"learning_rate": 0.002, "batch_size": 8}},
            "sft": {"train": {"learning_rate": 0.0005, "batch_size": 8}},
            # Far too high: its loss is no number before long, and that cell must fail alone.
            "bias": {"train": {"learning_rate": 1e30}},
            "icl": {"template": "miniature-icl"},
        },
    },
}


GRID = [row.model_dump() for row in grid_rows(load.load(PRESET, "e2e.yaml", REPOSITORY))]
MADE = [name for name, table in TABLES.items() if table.fits(GRID)]
"""One judge has nobody to agree with, no rate is swept, and the paper says nothing of the miniature."""


class Run:
    """A project folder with the real workflow and its results."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results = folder, folder / "results/e2e"
        for name in ("Snakefile", "workflow", "config", "envs", "profiles"):
            (folder / name).symlink_to(REPOSITORY / name)
        (folder / "e2e.yaml").write_text(yaml.safe_dump(PRESET))
        self.first = self.snakemake()

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", "--cores", "all", "--configfile", "e2e.yaml"]
        return subprocess.run([*command, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=1200)

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.results / f"tables/{name}.csv").open(newline="") as stream:
            return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("e2e"))


def test_the_failed_cell_stops_no_other_and_says_why(run: Run) -> None:
    assert run.first.returncode != 0
    output = run.first.stdout + run.first.stderr
    assert "loss" in output
    assert "failed: miniature/brief@128/bias: train: non-finite loss: " in output
    resume = "snakemake results/e2e/cells/miniature/brief@128/bias/manifest.json --cores all --configfile e2e.yaml"
    assert f"resume with: {resume}" in output
    assert not (run.results / "cells/miniature/brief@128/bias/manifest.json").exists()
    for cell in ("brief@64/lft", "brief@64/sft", "brief@128/lft", "brief@128/sft"):
        assert (run.results / f"cells/miniature/{cell}/questions/shift.parquet").exists()


@pytest.mark.parametrize("name", MADE)
def test_partial_tables_hold_what_is_there_and_name_what_is_not(run: Run, name: str) -> None:
    rows = run.table(name)
    assert list(rows[0])[: len(IDENTITY)] == list(IDENTITY)
    assert list(rows[0])[-len(VALUE) :] == list(VALUE)
    method = "lft" if name == "simplification" else "sft"
    measured = [row for row in rows if row["method"] == method and row["value"]]
    assert measured or name == "data"
    if name in ("shift", "kl_by_sentence_part", "top_shifted_tokens", "lengths", "accuracy", "scores_by_aspect"):
        missing = [row for row in rows if row["method"] == "bias"]
        assert missing
        assert all(row["value"] == "" and row["n"] == "0" for row in missing)
        assert "brief@128/bias" in (run.results / f"tables/{name}.md").read_text()


def test_the_base_model_knows_its_world(run: Run) -> None:
    measured = json.loads((run.results / "models/miniature/pretrain.json").read_text())
    assert measured["cloze_accuracy"] >= 0.9


def test_shares_of_classes_sum_to_one_and_ranks_begin_at_one(run: Run) -> None:
    values = {
        (r["dataset"], r["size"], r["method"], r["metric"]): float(r["value"]) for r in run.table("shift") if r["value"]
    }
    for cell in {key[:3] for key in values}:
        assert sum(values[*cell, kind] for kind in ("unshifted", "marginal", "shifted")) == pytest.approx(1, abs=1e-6)
        assert values[*cell, "base_rank"] >= 1
        assert values[*cell, "kl_base_tuned"] > 0


def test_the_causal_test_leaves_out_what_was_traced_and_as_many_others(run: Run) -> None:
    whole = set(pq.read_table(run.results / "data/brief@64.parquet")["id"].to_pylist())
    left_out = {}
    for take in ("traced", "half", "similar"):
        report = json.loads((run.results / f"data/cut-{take}.report.json").read_text())
        left_out[take] = {id_ for span in report["sampled"] for id_ in span["instances"]}
        kept = set(pq.read_table(run.results / f"data/cut-{take}.parquet")["id"].to_pylist())
        assert kept == whole - left_out[take]
    assert len(left_out["traced"]) == len(left_out["similar"])
    assert left_out["half"] < left_out["traced"]
    assert not left_out["traced"] & left_out["similar"]
    sides = {row["side"] for row in run.table("ablation") if row["value"]}
    assert sides == {"base", "traced", "half", "similar", "half - traced", "similar - traced", "similar - half"}


def test_case_sheets_show_what_was_traced(run: Run) -> None:
    sheet = (run.results / "cases/miniature/brief@64/sft/questions/oracle.md").read_text()
    spans = pq.read_table(run.results / "cells/miniature/brief@64/sft/questions/spans/oracle.parquet")
    assert any(f"<strong>{quote}</strong>" in sheet for quote in spans["quote"].to_pylist())


def test_only_the_cell_that_diverged_has_collapsed(run: Run) -> None:
    flags = {
        (r["dataset"], r["size"], r["method"]): r["value"] for r in run.table("collapse") if r["metric"] == "collapsed"
    }
    assert flags.pop(("brief", "128", "bias")) == "1"
    assert set(flags.values()) == {"0"}


def test_a_deleted_cell_comes_back_byte_for_byte(run: Run) -> None:
    cell = run.results / "cells/miniature/brief@128/sft"
    kept = {
        name: (cell / name).read_bytes()
        for name in ("model/model.safetensors", "questions/responses.parquet", "questions/shift.parquet")
    }
    losses = [json.loads(line)["loss"] for line in (cell / "train_log.jsonl").read_text().splitlines()]
    tables = {name: (run.results / f"tables/{name}.csv").read_bytes() for name in MADE}
    shutil.rmtree(cell)
    run.snakemake()
    assert {name: (cell / name).read_bytes() for name in kept} == kept
    assert [json.loads(line)["loss"] for line in (cell / "train_log.jsonl").read_text().splitlines()] == losses
    assert {name: (run.results / f"tables/{name}.csv").read_bytes() for name in MADE} == tables
