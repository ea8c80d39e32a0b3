"""Results folders that no stage made, and the claims table of cells whose truth is known."""

from pathlib import Path

import pytest
from tests.support.claim_cells import rows
from tests.support.synthetic import Folder

__all__ = ["folder", "rows"]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty results folder."""
    return Folder(tmp_path / "results" / "mini")
