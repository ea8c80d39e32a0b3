"""Numbers in documents are those of the tables that they link to."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.support import REPOSITORY

PROGRAM = REPOSITORY / "docs/cite.py"
TABLE = REPOSITORY / "docs/results/miniature/shift.csv"
ROW = "dataset=brief, size=800, method=lft"


def load(program: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(program.stem, program)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cite() -> ModuleType:
    return load(PROGRAM)


def test_the_documents_agree_with_their_tables() -> None:
    done = subprocess.run([sys.executable, PROGRAM, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_number_is_that_of_the_only_row(cite: ModuleType) -> None:
    """The mean over trainings, or with a seed one of these; a title that fits several rows, or none, is refused."""
    value, *interval = cite.cited(TABLE, f"kl_base_tuned, {ROW}").split()
    assert interval
    assert cite.cited(TABLE, f"kl_base_tuned, {ROW}, value") == value
    assert int(cite.cited(TABLE, f"kl_base_tuned, {ROW}, n")) > 0
    seeds = [float(cite.cited(TABLE, f"kl_base_tuned, {ROW}, value, seed={seed}")) for seed in range(5)]
    assert min(seeds) < float(value) < max(seeds)
    assert float(value) == pytest.approx(sum(seeds) / 5, abs=0.001)  # each is written with three digits
    for title in ("kl_base_tuned, method=lft", f"kl_base_tuned, {ROW}, seed=5", f"kl, {ROW}"):
        with pytest.raises(ValueError, match="rows, expected 1"):
            cite.cited(TABLE, title)


def test_a_drawn_number_is_the_cell_of_the_only_row(cite: ModuleType, tmp_path: Path) -> None:
    """Of the tables of a page, that with such a column; headings have commas, and a cell may have an escaped sign."""
    page = tmp_path / "t.md"
    other = "| what | p |\n| :-- | --: |\n| a\\_b\\|c | 0.04 |\n"
    page.write_text(
        f"Text.\n\n| method | x, first | n |\n| :-- | --: | --: |\n| lft | 0.5 (0.1, 0.9) | 2 |\n| sft | 7 | 3 |\n\n{other}"
    )
    assert cite.drawn(page, "x, first, method=lft") == "0.5 (0.1, 0.9)"
    assert cite.drawn(page, "x, first, method=lft, value") == "0.5"
    assert cite.drawn(page, "x, first, n=3") == "7"
    assert cite.drawn(page, "p, what=a_b|c") == "0.04"
    for title in ("x, first", "x, method=lft", "x, first, method=nft", "p, method=lft"):
        with pytest.raises(ValueError, match="rows, expected 1"):
            cite.drawn(page, title)


def test_a_wrong_number_is_found_and_mended(cite: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = cite.cited(TABLE, f"kl_base_tuned, {ROW}, value")
    (tmp_path / "docs").mkdir()
    document = tmp_path / "README.md"
    link = f'({TABLE} "kl_base_tuned, {ROW}, value")'
    document.write_text(f"KL is [0.1]{link} and [{right}]{link}.")
    monkeypatch.setattr(cite, "__file__", str(tmp_path / "docs/cite.py"))
    monkeypatch.setattr(cite, "DOCUMENTS", ("README.md",))
    for argument, status in ((["--check"], 1), ([], 0), (["--check"], 0)):
        monkeypatch.setattr(sys, "argv", ["cite.py", *argument])
        with pytest.raises(SystemExit) as ended:
            cite.main()
        assert ended.value.code == status
    assert document.read_text() == f"KL is [{right}]{link} and [{right}]{link}."


def test_the_papers_claims_are_those_of_the_code(tmp_path: Path) -> None:
    load(REPOSITORY / "docs/paper_claims.py").main(tmp_path)
    for name in ("claims.csv", "claims.md"):
        assert (tmp_path / name).read_text() == (REPOSITORY / "docs/results/paper" / name).read_text()
