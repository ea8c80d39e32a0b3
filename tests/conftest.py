"""What all tests share."""

import os
from pathlib import Path

import pytest

from tests.support import REPOSITORY

os.environ.setdefault("OMP_NUM_THREADS", "1")  # pytest-xdist has a worker for each core
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["CUDA_VISIBLE_DEVICES"] = (
    ""  # results are compared bit by bit, which a GPU does not give; subprocesses inherit it
)

LONGEST = (
    "test_faults.py",
    "test_miniature_run.py",
    "test_train_ranks.py",
    "test_latex_compiles.py",
    "test_train_notice.py",
)
"""The files that take minutes. They start first, so that no worker has one left when the others are finished."""


MARKERS = {"ranks", "e2e", "slurm", "browser", "latex", "model"}
"""Each has a folder of its name, with the tests that it marks; tests/unit has the tests without one of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files of LONGEST before all others; `make test` has pytest-xdist keep this order."""
    for item in items:
        expected = {item.path.relative_to(Path(__file__).parent).parts[0]} & MARKERS
        if (found := {mark.name for mark in item.iter_markers()} & MARKERS) != expected:
            raise pytest.UsageError(
                f"{item.nodeid}: found the markers {found}, expected those of its folder, {expected}"
            )
    order = {name: position for position, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


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
