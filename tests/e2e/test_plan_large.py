"""A very large grid is planned."""

from pathlib import Path

import pytest
from tests.support.plan_project import Project, check_planned_without_torch

pytestmark = pytest.mark.e2e


def test_10080_cells_are_planned_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_planned_without_torch(Project(tmp_path), seeds=63)
