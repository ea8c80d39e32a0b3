"""What all tests share."""

import os
from pathlib import Path

import pytest

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # tests run beside each other; more threads than cores only slow them down
os.environ.setdefault("HF_HUB_OFFLINE", "1")

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository, which is other people's text and not part of it."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("real data (../shared) is not here")
    return folder
