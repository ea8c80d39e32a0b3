"""What all programs share before and after their own work."""

import os
import subprocess
import sys

import pytest
from tests.support import REPOSITORY

from closerlook.core.scripts import ALLOCATOR, run

IMPORT_ALL = """
import importlib.util, pathlib, sys
for file in sorted(pathlib.Path("workflow/scripts").glob("*.py")):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert "torch" not in sys.modules, file
"""


@pytest.mark.parametrize("own", [None, *ALLOCATOR])
def test_gpu_memory_is_not_fragmented_unless_the_user_decides(monkeypatch: pytest.MonkeyPatch, own: str | None) -> None:
    environment = {own: "expandable_segments:False"} if own else {}
    monkeypatch.setattr(os, "environ", environment)
    run(lambda: None)
    assert environment == ({own: "expandable_segments:False"} if own else {ALLOCATOR[0]: "expandable_segments:True"})


def test_no_program_imports_torch_before_it_runs() -> None:
    """Torch reads the environment when it is imported, and takes seconds, also for --help."""
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
