"""Figures: drawn from CSV alone, whatever it holds, and to the same bytes."""

import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.colors import to_rgb
from tests.tables.test_table_text import HOSTILE

from closerlook.figures.common import plain, size_label, whiskers
from closerlook.figures.registry import FIGURES
from closerlook.figures.style import STYLE, colours, drawable, save
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


@pytest.mark.parametrize("name", FIGURES)
def test_same_bytes_again(name: str, tmp_path: Path) -> None:
    first, second = (draw(name, tmp_path, ONE_SIZE, SIZES[:1], out) for out in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".png").read_bytes() == second.with_suffix(".png").read_bytes()


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
