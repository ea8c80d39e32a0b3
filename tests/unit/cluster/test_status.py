"""`closerlook status`: each stage's state from its files, its attempts, and the command that resumes it."""

import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from tests.support import REPOSITORY
from tests.support.cell_results import FIRST, Results, attempt, first, rows
from tests.support.workflow_project import PRESET

from closerlook import cli
from closerlook.cluster.attempts import failure_file
from closerlook.cluster.status import totals
from closerlook.cluster.status_text import lines

Slurm = Callable[..., Path]
HERE = socket.gethostname()


def test_what_has_no_inputs_waits_and_what_has_is_new(results: Results) -> None:
    assert totals(rows(results).values()) == {
        "train": {"waiting": 4},
        "generate": {"waiting": 5},
        "shift": {"waiting": 4},
    }
    results.put_inputs()
    found = rows(results)
    assert totals(found.values())["train"] == {"new": 4}
    assert found["miniature/none/base", "generate"].state == "new"
    assert found[FIRST, "generate"].message == f"for {results.folder}/cells/{FIRST}/manifest.json"


def test_what_is_there_is_done(results: Results) -> None:
    results.put_manifest()
    results.put(f"cells/{FIRST}/questions/responses.parquet")
    results.attempt(attempt("generate", 125.5))
    row = first(results, "generate")
    assert (row.state, row.elapsed_seconds, row.attempts, row.command) == ("done", 7530, 1, None)
    assert first(results).state == "done"


def test_other_settings_make_a_training_stale_and_what_came_of_it(results: Results) -> None:
    results.put_manifest(learning_rate=0.5)
    results.put(f"cells/{FIRST}/questions/responses.parquet")
    assert first(results).state == "stale"
    assert "learning_rate was 0.5" in first(results).message
    assert first(results, "generate").state == "stale"
    assert first(results, "shift").state == "waiting"


def test_a_failure_tells_everything(results: Results) -> None:
    started = "2026-01-01T09:00:00Z"
    results.attempt(
        attempt(minutes=1, reason="out of memory", started=started),
        attempt(minutes=30, number=2, reason="non-finite loss", message="the loss\nis nan", job="7", nodes="n[1-2]"),
    )
    failure_file(results.folder / "cells" / FIRST, "train").write_text(
        json.dumps({"log_tail": ["a", "b", "c", "\x1b[0md"]})
    )
    row = first(results)
    assert (row.state, row.reason, row.message) == ("failed", "non-finite loss", "the loss is nan")
    assert (row.job, row.nodes, row.attempts, row.earlier) == ("7", "n[1-2]", 2, ["out of memory"])
    assert (row.elapsed_seconds, row.log, row.log_tail) == (1800, "the.log", ["b", "c", "[0md"])
    assert row.command == (f"snakemake results/dag/cells/{FIRST}/manifest.json --configfile dag.yaml 'my files.yaml'")
    last = list(lines(list(rows(results).values())))[-6:]
    assert last[0] == f"failed: {FIRST}: train: non-finite loss: the loss is nan"
    assert last[-1] == f"    resume with: {row.command}"


def test_without_a_kept_tail_the_log_is_read(results: Results) -> None:
    log = results.put("logs/train/x.log", "10%\r20%\r30%\none\ntwo\n")
    results.attempt(attempt(minutes=1, reason="unknown", log=str(log)))
    assert first(results).log_tail == ["30%", "one", "two"]


def test_a_killed_attempt_is_not_told_by_the_log_of_the_one_before(results: Results, slurm: Slurm) -> None:
    slurm(squeue="7 NODE_FAIL")
    log = results.put("logs/train/x.log", "its own\n")
    failure = {"reason": "out of memory", "log_tail": ["of the one before"]}
    results.attempt(attempt(minutes=1, reason="out of memory"), attempt(number=2, job="7", log=str(log)))
    results.put(f"cells/{FIRST}/attempts/train/failure.json", json.dumps(failure))
    assert (first(results).reason, first(results).log_tail) == ("node failure", ["its own"])


def test_a_success_makes_earlier_failures_history(results: Results) -> None:
    results.put_manifest()
    results.attempt(attempt(minutes=1, reason="time limit"), attempt(minutes=5, number=2))
    row = first(results)
    assert (row.state, row.earlier, row.elapsed_seconds) == ("done", ["time limit"], 300)
    assert any("2 (after time limit)" in line for line in lines([row]))


def test_a_process_of_this_machine_runs_while_it_lives(results: Results, slurm: Slurm) -> None:
    slurm()
    begun = datetime.now(UTC)
    results.attempt(attempt(host=HERE, pid=os.getpid(), started=begun))
    assert first(results).state == "running"
    assert first(results).elapsed_seconds is not None
    results.attempt(
        attempt(host=HERE, pid=os.getpid(), started="2001-01-01T00:00:00Z")
    )  # a later process has the same id
    row = first(results)
    assert (row.state, row.reason, row.elapsed_seconds) == ("failed", "unknown", None)
    assert row.message == "killed before it could say why"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for pid in (ended.pid, -1, 0, 2**80):
        results.attempt(attempt(host=HERE, pid=pid, started=begun))
        assert first(results).state == "failed"


def test_what_cannot_be_asked_is_not_called_dead(results: Results, slurm: Slurm) -> None:
    results.attempt(attempt(host="elsewhere"))
    assert (first(results).state, "elsewhere" in first(results).message) == ("running", True)
    results.attempt(attempt(job="7"))
    for answers in ({}, {"squeue": None}):  # no Slurm here; a Slurm that does not answer
        slurm(**answers)
        assert (first(results).state, "may have ended" in first(results).message) == ("running", True)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("RUNNING", ("running", None)),
        ("COMPLETING", ("running", None)),
        ("PENDING", ("running", None)),
        ("NODE_FAIL", ("failed", "node failure")),
        ("TIMEOUT", ("failed", "time limit")),
        ("OUT_OF_MEMORY", ("failed", "out of memory")),
        ("CANCELLED", ("failed", "cancelled")),
        ("PREEMPTED", ("failed", "preempted")),
        ("FAILED", ("failed", "unknown")),
        ("COMPLETED", ("failed", "unknown")),
    ],
)
def test_slurm_speaks_for_an_attempt_without_an_end(
    results: Results, slurm: Slurm, state: str, expected: tuple[str, str | None]
) -> None:
    results.attempt(attempt(job="7"))
    slurm(squeue=f"6 RUNNING\n7 {state}")
    assert (first(results).state, first(results).reason) == expected


@pytest.mark.parametrize("accounting", ["7|CANCELLED by 1000", "7|\n8|TIMEOUT", "", None, "sacct: not there"])
def test_a_job_that_the_controller_forgot_is_asked_of_the_accounting(
    results: Results, slurm: Slurm, accounting: str | None
) -> None:
    results.attempt(attempt(job="7"))
    slurm(squeue="", sacct=accounting)
    cancelled = accounting is not None and "CANCELLED" in accounting
    assert (first(results).state, first(results).reason) == ("failed", "cancelled" if cancelled else "unknown")


def test_a_requeued_job_is_not_failed(results: Results, slurm: Slurm) -> None:
    results.attempt(attempt(minutes=3, reason="preempted", job="7"))
    slurm(squeue="7 PENDING")
    assert (first(results).state, "again after: preempted" in first(results).message) == ("running", True)
    slurm(squeue="7 PREEMPTED")
    assert (first(results).state, first(results).reason) == ("failed", "preempted")


def test_slurm_is_asked_once_and_only_where_it_must_be(results: Results, slurm: Slurm) -> None:
    calls = slurm(squeue="1 RUNNING", sacct="2|NODE_FAIL\n3|TIMEOUT")
    results.put_manifest()
    results.attempt(attempt(minutes=1, job="9"))
    rows(results)
    assert calls.read_text() == ""
    others = [cell.name for cell in results.configuration.cells if cell.dataset and cell.name != FIRST]
    for job, cell in enumerate(others, start=1):
        results.attempt(attempt(job=str(job)), cell=cell)
    found = rows(results)
    assert [found[cell, "train"].reason for cell in others] == [None, "node failure", "time limit"]
    squeue, sacct = calls.read_text().splitlines()
    assert squeue.startswith("squeue")
    assert sacct.endswith("-j 2,3")


def test_a_running_training_says_how_far_it_is(results: Results, slurm: Slurm) -> None:
    slurm()
    results.attempt(attempt(host=HERE, pid=os.getpid(), started=datetime.now(UTC)))
    written = [{"step": n, "epoch": n / 4, "tokens": 100.0, "seconds": 1 if n < 20 else 0.5} for n in range(1, 41)]
    log = results.put(
        f"cells/{FIRST}/checkpoints/train_log.jsonl", "".join(json.dumps(line) + "\n" for line in written)
    )
    epochs = results.configuration.train_settings(results.configuration.cell_of[FIRST]).epochs
    row = first(results)
    assert (row.tokens_per_second, row.step, row.steps) == (200, 40, round(4 * epochs))
    with log.open("a") as stream:
        stream.write('{"step": 41, "ep')  # being written
    assert first(results).step == 40


@pytest.mark.parametrize(
    "text", ["", "[]\n", "{}\n", '{"step": "x"}\n', "1\n2\n", "\xff", "[" * 100_000, '{"step": NaN, "epoch": 1}']
)
def test_a_training_log_that_tells_nothing_breaks_nothing(results: Results, text: str) -> None:
    results.put(f"cells/{FIRST}/train_log.jsonl", text)
    assert first(results).step is None
    line = {"step": 1, "epoch": 1, "tokens": 1}
    results.put(f"cells/{FIRST}/train_log.jsonl", json.dumps(line | {"seconds": 0}))
    assert first(results).tokens_per_second is None
    results.put(f"cells/{FIRST}/train_log.jsonl", json.dumps(line | {"seconds": float("nan")}))
    assert first(results).tokens_per_second is None


def test_what_an_adopted_job_finished_is_not_new(results: Results) -> None:
    results.put_inputs()
    results.attempt(attempt(minutes=1, job="7"))
    results.put(f"cells/{FIRST}/attempts/train/finished/manifest.json")
    assert (first(results).state, "job 7" in first(results).message) == ("waiting", True)


def test_at_the_end_of_a_run_what_is_whole_is_only_counted(results: Results) -> None:
    results.put_manifest()
    found = list(rows(results).values())
    text = list(lines(found, whole=False))
    assert text[0] == "train: 3 waiting, 1 done"
    assert len([line for line in text if FIRST in line]) == 2
    assert list(lines([row for row in found if row.state == "done"], whole=False)) == ["train: 1 done"]


def test_the_command_prints_a_table_and_json(
    results: Results, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = results.configuration.root
    monkeypatch.chdir(root)
    (root / "dag.yaml").write_text(yaml.safe_dump(PRESET))
    results.attempt(attempt(minutes=1, reason="disk full"))
    monkeypatch.setattr("sys.argv", ["closerlook", "status", "--configfile", "dag.yaml"])
    cli.main()
    assert "train: 3 waiting, 1 failed" in capsys.readouterr().out
    monkeypatch.setattr(
        "sys.argv", ["closerlook", "status", "--configfile", "dag.yaml", "--json", "--results", "results/dag"]
    )
    cli.main()
    found = json.loads(capsys.readouterr().out)
    assert (found["preset"], len(found["stages"])) == ("dag", 13)
    command = shlex.split(found["stages"][0]["command"])
    assert command[:2] == ["snakemake", f"results/dag/cells/{FIRST}/manifest.json"]
    assert command[-2:] == ["--configfile", "dag.yaml"]


def test_it_imports_nothing_heavy() -> None:
    code = "import sys, closerlook.cluster.status_text, closerlook.cluster.status\n"
    code += "sys.exit(' '.join({'torch', 'transformers', 'pandas', 'tokenizers'} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=REPOSITORY)
