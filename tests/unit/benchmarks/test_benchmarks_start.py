"""Every benchmark starts: CI runs none of them whole, and each uses the package's modules by name."""

import subprocess
import sys

import pytest
from tests.support import REPOSITORY

NO_BENCHMARKS = {"common", "summary"}
FOLDER = REPOSITORY / "benchmarks"
PROGRAMS = sorted(file for file in FOLDER.glob("*.py") if file.stem not in NO_BENCHMARKS)
PROGRAMS += [FOLDER / "gpu/check.py", FOLDER / "gpu/prepare.py"]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda file: file.stem)
def test_it_starts(program):
    done = subprocess.run([sys.executable, program, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {program.name}")
