"""Results folders that no stage made."""

from pathlib import Path

import pytest
from tests.support.synthetic import Folder, fill


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty results folder."""
    return Folder(tmp_path / "results" / "mini")


@pytest.fixture
def small(folder: Folder) -> Folder:
    """Two datasets, two methods and two controls, one cell of which is not there yet."""
    fill(folder, ("brief@1k", "brief@2k", "verbose@1k"), ("lft", "sft"), responses=30)
    folder.cell("verbose@2k", "sft")
    return folder
