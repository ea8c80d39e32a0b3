"""Every benchmark starts: CI runs none of them whole, and each uses the package's modules by name."""

import subprocess
import sys

import pytest
from tests.support import REPOSITORY

NO_BENCHMARKS = {"common", "summary"}
BENCHMARKS = sorted(file for file in (REPOSITORY / "benchmarks").glob("*.py") if file.stem not in NO_BENCHMARKS)


@pytest.mark.parametrize("program", BENCHMARKS, ids=lambda file: file.stem)
def test_it_starts(program):
    done = subprocess.run([sys.executable, program, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {program.name}")
