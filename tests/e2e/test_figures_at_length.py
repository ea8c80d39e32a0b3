"""Every figure for very large grids and hostile names, and in another process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import REPOSITORY
from tests.support.figures import draw
from tests.support.table_rows import HOSTILE_NAMES, LARGE, MANY, ONE_SIZE, Cells

from closerlook.report.figures.registry import FIGURES

pytestmark = pytest.mark.e2e


def test_same_bytes_in_another_process(tmp_path: Path) -> None:
    """The bytes do not depend on the order of sets in the process, such as the glyphs of a font in a PDF."""
    draw("top_shifted_tokens", tmp_path, ONE_SIZE)
    contents = []
    for seed in ("1", "2"):
        arguments = ["top_shifted_tokens", "--results", str(tmp_path), "--out", str(tmp_path / "f.svg")]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run(
            [sys.executable, "workflow/scripts/figure.py", *arguments], cwd=REPOSITORY, env=environment, check=True
        )
        contents.append({path.name: path.read_bytes() for path in sorted(tmp_path.glob("f.*"))})
    assert contents[0] == contents[1]
    assert list(contents[0]) == ["f.md", "f.pdf", "f.png", "f.svg"]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("cells", [MANY, LARGE, *HOSTILE_NAMES.values()], ids=["many", "large", *HOSTILE_NAMES])
def test_draws_what_no_one_should_ask_for(name: str, cells: Cells, tmp_path: Path) -> None:
    """Several models, seeds and evalsets; 36 cells; names made of markup."""
    draw(name, tmp_path, cells, [("m1", "it", "", "sft", "0", "ask")])
