"""The program that makes the page."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import REPOSITORY
from tests.support.made_results import small

pytestmark = pytest.mark.e2e


def test_the_script_makes_the_page(tmp_path: Path) -> None:
    results = small(tmp_path / "small")
    command = [
        sys.executable,
        str(REPOSITORY / "workflow/scripts/page.py"),
        "--results",
        str(results),
        "--out",
        str(tmp_path / "out"),
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY)
    assert (tmp_path / "out/index.html").is_file()
    failed = subprocess.run(
        [*command[:3], str(tmp_path), *command[4:]], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    assert failed.returncode == 2
    assert failed.stderr.startswith("error: ")
