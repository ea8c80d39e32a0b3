"""Figures: drawn from CSV alone, whatever it holds, and to the same bytes."""

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.colors import to_rgb
from tests.conftest import REPOSITORY
from tests.tables.test_table_text import HOSTILE

from closerlook.figures import simplification
from closerlook.figures.common import plain, size_label, whiskers
from closerlook.figures.page import page
from closerlook.figures.registry import FIGURES
from closerlook.figures.style import STYLE, colours, drawable, save
from closerlook.tables.metrics import CLASSES
from closerlook.tables.registry import IDENTITY, TABLES
from closerlook.tables.tidy import read_csv, write_csv

Cells = list[tuple[str, str, str, str, str, str]]

ONE_SIZE: Cells = [
    ("m", d, "1000", method, "0", "ask") for d in ("brief", "verbose") for method in ("lft", "sft", "nft")
]
SIZES: Cells = [
    ("m", d, s, "lft", "0", "ask") for d, sizes in (("a", ("1000", "52000")), ("b", ("326000", ""))) for s in sizes
]
MANY: Cells = [
    (model, "it", size, method, seed, evalset)
    for model in ("m1", "m2")
    for size in ("1000", "2000")
    for method in ("lft", "sft", "other")
    for seed in ("0", "1")
    for evalset in ("ask", "med")
]
HOSTILE_NAMES = {
    f"hostile {i}": [(name, name, "1000", name, "0", "ask") for name in HOSTILE[i : i + 4]]
    for i in range(0, len(HOSTILE), 4)
}
LARGE: Cells = [
    ("m", f"dataset-{d}", size, method, "0", "ask")
    for d in range(9)
    for size in ("1000", "326000")
    for method in ("lft", "sft")
]
CONTROL: Cells = [("m", "", "", "base", "0", "ask")]


def rows_of(name: str, cells: Cells, absent: Cells = ()) -> list[dict[str, Any]]:
    """Rows of a table for some cells; those in `absent` without values. Values differ by cell and may lie off their interval."""
    table = TABLES[name]
    rows = []
    for i, cell in enumerate([*cells, *absent]):
        for part in table.parts:
            if not cell[1] and not part.controls:
                continue
            identity = {c: v if c in part.of else "" for c, v in zip(IDENTITY, cell, strict=True)}
            keys = [{}]
            for key, values in part.keys.items():
                keys = [one | {key: value} for one in keys for value in values]
            if name == "top_shifted_tokens" and cell not in absent:
                keys = [one | {"rank": r, "token": t} for one in keys for r, t in enumerate(HOSTILE, 1)]
            for one in keys:
                for m, metric in enumerate(part.metrics):
                    value = (
                        None
                        if cell in absent
                        else (0.05 + 0.03 * (i % 9) + 0.01 * m) * (40 if metric == "base_rank" else 1)
                    )
                    low, high = (value * 1.01, value * 1.2) if value and i else (None, None)
                    blank = dict.fromkeys(table.columns, "")
                    estimate = {"value": value, "ci_low": low, "ci_high": high, "n": 9, "n_null": 0}
                    rows.append(blank | identity | one | {"metric": metric} | estimate)
    return rows


def draw(name: str, results: Path, cells: Cells, absent: Cells = (), out: str = "f") -> Path:
    from importlib import import_module

    figure = FIGURES[name]
    tables = []
    for needed in figure.tables:
        path = results / "tables" / f"{needed}.csv"
        write_csv(rows_of(needed, cells, absent), TABLES[needed], path)
        tables.append(read_csv(path, TABLES[needed]))
    module, function = figure.draw.split(":")
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph the font lacks, a layout that does not fit
        save(getattr(import_module(module), function)(*tables), results / f"{out}.svg")
    return results / f"{out}.svg"


GRIDS: dict[str, tuple[Cells, Cells]] = {
    "one size": (ONE_SIZE, CONTROL),
    "sizes": (SIZES, ONE_SIZE[:1]),
    "nothing there": ([], ONE_SIZE),
    "no cell": ([], []),
    "control": (CONTROL, []),
    "one cell": (ONE_SIZE[:1], []),
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("grid", GRIDS)
def test_draws(name: str, grid: str, tmp_path: Path) -> None:
    svg = draw(name, tmp_path, *GRIDS[grid])
    root = ElementTree.parse(svg).getroot()
    assert root.tag.endswith("svg")
    assert not [e for e in root.iter() if e.tag.endswith(("script", "text", "foreignObject"))]
    png = svg.with_suffix(".png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert b"Software" not in png
    assert b"<dc:date>" not in svg.read_bytes()
    pdf = svg.with_suffix(".pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"CreationDate" not in pdf
    assert b"/Type3" not in pdf


@pytest.mark.parametrize("name", FIGURES)
def test_same_bytes_again(name: str, tmp_path: Path) -> None:
    first, second = (draw(name, tmp_path, ONE_SIZE, SIZES[:1], out) for out in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".png").read_bytes() == second.with_suffix(".png").read_bytes()
    assert first.with_suffix(".pdf").read_bytes() == second.with_suffix(".pdf").read_bytes()


@pytest.mark.slow
def test_same_bytes_in_another_process(tmp_path: Path) -> None:
    """Whatever order that process's sets are in: the glyphs of a font in a PDF are such a set."""
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
def test_a_page_says_what_the_figure_does_not(name: str) -> None:
    """Caption, files, number of responses, command, and cells without data; names made of markup stay text."""
    hostile: Cells = [("m", "<script>", "1000", "a|b_c*", "0", "ask")]
    figure = FIGURES[name]
    tables = [rows_of(table, ONE_SIZE, hostile) for table in figure.tables]
    text = page(figure, tables, "f", "python workflow/scripts/figure.py x")
    assert figure.caption in text
    assert "![" in text
    assert "(f.svg)" in text
    assert "f.pdf" in text
    assert " 9 " in text
    assert "`python workflow/scripts/figure.py x`" in text
    assert "## Missing" in text
    assert "<script>" not in text
    assert "## Missing" not in page(figure, [rows_of(table, ONE_SIZE) for table in figure.tables], "f", "x")


def test_bars_of_the_simplification_study_are_the_shares() -> None:
    """Figure 6: the parts of a bar lie end to end, in the order of the classes, and are as wide as the shares."""
    blank = dict.fromkeys(TABLES["simplification"].columns, "") | dict(zip(IDENTITY, ONE_SIZE[0], strict=True))
    blank |= {"ci_low": None, "ci_high": None, "n": 8, "n_null": 0, "judge": "oracle"}
    shares = dict(zip(CLASSES, (0.25, 0.125, 0.0, 0.5, 0.125, 0.0, 0.0), strict=True))
    rows = [blank | {"metric": name, "value": share} for name, share in shares.items()]
    other = [row | {"judge": "labels", "value": None, "n": 0} for row in rows]
    with matplotlib.rc_context(STYLE):
        (axes,) = simplification.draw([*rows, *other, blank | {"metric": "tokens", "value": 7.0}]).axes
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert [width for _, width in bars] == list(shares.values())
    assert [x for x, _ in bars] == [sum(list(shares.values())[:i]) for i in range(len(shares))]
    assert {text.get_text() for text in axes.texts} == {"25%", "12%", "50%", "n=8"}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("cells", [MANY, LARGE, *HOSTILE_NAMES.values()], ids=["many", "large", *HOSTILE_NAMES])
def test_draws_what_no_one_should_ask_for(name: str, cells: Cells, tmp_path: Path) -> None:
    """Several models, seeds and evalsets; 36 cells; names made of markup."""
    draw(name, tmp_path, cells, [("m1", "it", "", "sft", "0", "ask")])


def test_methods_keep_their_colours() -> None:
    assert colours(["sft", "lft"])["lft"] == colours(["lft"])["lft"]
    many = colours(["lft", "sft", "nft", "bias", "base", "icl", "x", "y", "z"])
    assert len(set(many.values())) == len(many)
    assert all(to_rgb(colour) for colour in many.values())


def test_whiskers_and_labels() -> None:
    assert whiskers({"value": 1.0, "ci_low": None, "ci_high": None}) == [[0.0], [0.0]]
    assert whiskers({"value": 1.0, "ci_low": 1.5, "ci_high": 2.0}) == [[0.0], [1.0]]
    assert [size_label(size) for size in ("500", "1000", "1500", "326000", "")] == ["500", "1k", "1.5k", "326k", "all"]
    assert plain("x" * 99).endswith("…")
    assert drawable("a\u4e2d") == "a[U+4E2D]"
