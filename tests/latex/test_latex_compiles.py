"""Every table's LaTeX in one document that pdflatex must take, with booktabs and longtable and nothing else: no lost glyph."""

import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from tests.support import REPOSITORY
from tests.support.machine import require
from tests.support.synthetic import Folder, fill
from tests.support.table_rows import HOSTILE, HOSTILE_NAMES, MANY, ONE_SIZE, rows_of

from closerlook.core.files import write_csv
from closerlook.report.tables.build import Missing
from closerlook.report.tables.draw import to_latex
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import Wide, sections
from closerlook.text.escape import latex

pytestmark = pytest.mark.latex

DOCUMENT = r"""
\documentclass{article}
\usepackage{booktabs,longtable}
\tracinglostchars=3
\begin{document}
%s
\end{document}
"""


@pytest.fixture(scope="session")
def pdflatex() -> str:
    """pdflatex with booktabs."""
    require("texlive-latex-recommended")
    return "pdflatex"


def compile_all(pdflatex: str, files: list[Path], folder: Path) -> str:
    """Set all files, one behind the other, each with the caption that its first line has ready; what pdflatex says."""
    firsts = [file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("% ") for file in files]
    captions = [rf"\begin{{table}}{first}\end{{table}}" if first.startswith(r"\caption{") else "" for first in firsts]
    inputs = "\n".join(
        rf"\section{{{i}}}{caption}\input{{{file}}}\clearpage"
        for i, (file, caption) in enumerate(zip(files, captions, strict=True))
    )
    (folder / "all.tex").write_text(DOCUMENT % inputs)
    command = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=300)
    output = done.stdout.decode("latin-1")
    assert done.returncode == 0, output[-3000:]
    assert "Missing character" not in (folder / "all.log").read_text("latin-1")
    assert (folder / "all.pdf").stat().st_size > 1000
    return output


@pytest.mark.parametrize(
    "cells", [ONE_SIZE, MANY, *HOSTILE_NAMES.values(), []], ids=["one", "many", *HOSTILE_NAMES, "none"]
)
def test_every_table_compiles(pdflatex: str, cells: list, tmp_path: Path) -> None:
    """Through its CSV, as the workflow draws it; cells, tokens and commands made of markup."""
    files = []
    for name, table in TABLES.items():
        write_csv(rows_of(name, cells, ONE_SIZE[:1]), table.columns, tmp_path / f"{name}.csv")
        missing = [Missing(text, f"snakemake '{text}'") for text in HOSTILE]
        drawn = to_latex(sections(read_csv(tmp_path / f"{name}.csv", table), table), table, missing, "\n".join(HOSTILE))
        files.append(tmp_path / f"{name}.tex")
        files[-1].write_text(drawn, encoding="utf-8")
        assert drawn.startswith(rf"% \caption{{{latex(table.title)}.")
    compile_all(pdflatex, files, tmp_path)


def test_letters_of_every_script_compile(pdflatex: str, tmp_path: Path) -> None:
    """All of Unicode's planes, 4,000 code points at random, in headings and cells: an accent is drawn, the rest are U+XXXX."""
    rng = np.random.default_rng(0)
    points = rng.choice(sys.maxunicode, 3000, replace=False).tolist() + rng.choice(0x3000, 1000, replace=False).tolist()
    letters = [chr(point) for point in points if not 0xD800 <= point < 0xE000]
    cells = ["".join(letters[i : i + 4]) for i in range(0, len(letters), 4)]
    combined = [unicodedata.normalize(form, "é ñ ĳ ą ệ Å ﬁ") for form in ("NFC", "NFD", "NFKD")]
    ascii_ = ["".join(map(chr, range(i, i + 8))) for i in range(0, 128, 8)]
    everything = [*combined, *ascii_, *HOSTILE, *cells]
    wide = Wide(
        everything[:2], "lp", [everything[i : i + 2] for i in range(0, len(everything) - 1, 2)], "".join(HOSTILE)
    )
    (tmp_path / "letters.tex").write_text(to_latex([wide], TABLES["cells"], [], "make"), encoding="utf-8")
    compile_all(pdflatex, [tmp_path / "letters.tex"], tmp_path)


def test_tables_of_results_compile(pdflatex: str, tmp_path: Path) -> None:
    """As the workflow's own script makes them."""
    folder = Folder(tmp_path / "results")
    fill(folder, ("brief@1k", "brief@2k", "verbose@1k"), ("lft", "sft"), responses=30)
    script = REPOSITORY / "workflow/scripts/table.py"
    files = [
        folder.path / "tables" / f"{name}.tex" for name in ("shift", "data", "cells", "lengths", "top_shifted_tokens")
    ]
    for file in files:
        arguments = [file.stem, "--results", "results", "--out", f"results/tables/{file.stem}.csv"]
        subprocess.run([sys.executable, str(script), *arguments], cwd=tmp_path, check=True, timeout=120)
    compile_all(pdflatex, files, tmp_path)
