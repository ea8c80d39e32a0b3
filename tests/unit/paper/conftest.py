"""Results folders that no stage made."""

from pathlib import Path

import pytest
from tests.support.synthetic import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty results folder."""
    return Folder(tmp_path / "results" / "mini")
