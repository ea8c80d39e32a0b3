"""What all tests share."""

import os
from pathlib import Path

import pytest

from tests.support import REPOSITORY

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # tests run beside each other; more threads than cores only slow them down
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository, which is other people's text and not part of it."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("real data (../shared) is not here")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests on a real Slurm did to its jobs, and what was lost."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    faults = [value for report in reports for name, value in report.user_properties if name == "fault"]
    if faults:
        width = max(len(fault) for fault, _, _ in faults)
        terminalreporter.section("faults")
        terminalreporter.line(f"{'fault':{width}}  times injected  results lost")
        for fault, injected, lost in faults:
            terminalreporter.line(f"{fault:{width}}  {injected:14}  {lost:12}")
