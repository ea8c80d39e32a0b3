"""benchmarks/gpu/check.py, rehearsed on a CPU: a typo in it would be found on a borrowed GPU, in its few minutes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import REPOSITORY

pytestmark = pytest.mark.e2e


def check(out: Path, *flags: str) -> tuple[int, dict[str, dict]]:
    """Exit status, and the lines by the names of their measurements."""
    command = [sys.executable, "benchmarks/gpu/check.py", "--device", "cpu", "--tiny", "--out", str(out), *flags]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    files = list(out.glob("*.jsonl"))
    assert len(files) == 1, done.stderr[-3000:]
    lines = [json.loads(line) for line in files[0].read_text().splitlines()]
    assert files[0].with_suffix(".md").read_text().count("\n| ") == len(lines) + 2
    return done.returncode, {line["measurement"]: line for line in lines}


def test_every_measurement_has_a_result_or_needs_a_gpu(tmp_path):
    status, lines = check(tmp_path / "out", "--seconds", "580", "--keep", str(tmp_path / "kept"))
    assert status == 0
    assert {name: line["error"] for name, line in lines.items() if "error" in line} == {}
    skipped = {name for name, line in lines.items() if "skipped" in line}
    assert skipped == {"attention with grouped heads", "waits for the GPU"}
    checks = {name: line["result"]["passed"] for name, line in lines.items() if line["is_check"] and "result" in line}
    assert len(checks) == 8
    assert all(checks.values())
    for repeat in (1, 2, 3):
        methods = lines[f"training, repeat {repeat}"]["result"]
        assert all(method["tokens_per_second"] > 0 for method in methods.values()), methods
        assert methods["ours full"]["times_the_fastest_peer"] > 0
    assert lines["real: alpaca@9k, sft: shift"]["result"]["mean_kl_base_tuned"] > 0
    assert {file.name.split(".")[0] for file in (tmp_path / "kept").iterdir()} == {
        "base",
        *(f"alpaca_{size}_{method}" for size in ("1k", "9k") for method in ("lft", "sft")),
    }


def test_without_time_every_measurement_says_why_it_was_skipped(tmp_path):
    status, lines = check(tmp_path / "out", "--part", "core", "--seconds", "0")
    assert status == 0
    assert len(lines) == 25
    assert all("s were left" in line["skipped"] for line in lines.values())
