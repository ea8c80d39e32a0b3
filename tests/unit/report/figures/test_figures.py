"""Figures: drawn from CSV alone, whatever it holds, and to the same bytes."""

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from tests.support.figures import draw
from tests.support.table_rows import (
    CONTROL,
    LONG_NAMES,
    ONE_SIZE,
    SIZES,
    Cells,
    rows_of,
)

from closerlook.report.figures import radar, simplification
from closerlook.report.figures.drawing import DRAW
from closerlook.report.figures.page import page
from closerlook.report.figures.panels import whiskers
from closerlook.report.figures.registry import FIGURES
from closerlook.report.figures.rows import plain, size_label
from closerlook.report.figures.style import STYLE, drawable, method_colors
from closerlook.report.tables.metrics import CLASSES
from closerlook.report.tables.registry import IDENTITY, TABLES

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


def drawn(name: str, cells: Cells) -> Figure:
    """The figure as it is saved, every part in its place."""
    with matplotlib.rc_context(STYLE):
        figure = DRAW[name](*(rows_of(table, cells) for table in FIGURES[name].tables))
        figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut(name: str) -> None:
    """Everything that is drawn, legends and labels too, is inside the figure."""
    for cells in (ONE_SIZE, LONG_NAMES):
        figure = drawn(name, cells)
        x0, y0, x1, y1 = figure.get_tightbbox().extents
        assert min(x0, y0) > -0.02, (x0, y0)
        assert x1 < figure.get_figwidth() + 0.02
        assert y1 < figure.get_figheight() + 0.02


def test_names_and_sizes_of_datasets_do_not_overlap() -> None:
    """Below the panels of Figure 1. Datasets whose names begin alike have distinct labels."""
    figure = drawn("token_shift", LONG_NAMES)
    for axes in figure.axes:
        if not axes.texts:
            continue
        for texts in (axes.texts, axes.get_xticklabels()):
            boxes = sorted((text.get_window_extent().extents for text in texts), key=lambda box: box[0])
            assert all(left[2] < right[0] for left, right in pairwise(boxes))
        assert len({text.get_text() for text in axes.texts}) == 5


@pytest.mark.parametrize("name", ["borrowing", "scores_by_aspect", "scores_by_task"])
def test_labels_of_rows_of_panels_do_not_overlap(name: str) -> None:
    axes = [panel for panel in drawn(name, LONG_NAMES).axes if panel.get_ylabel()]
    assert len(axes) > 1
    boxes = sorted((panel.yaxis.label.get_window_extent().extents for panel in axes), key=lambda box: box[1])
    assert all(low[3] < high[1] for low, high in pairwise(boxes))


@pytest.mark.parametrize("name", FIGURES)
def test_something_is_drawn(name: str) -> None:
    """Otherwise the other tests would show nothing."""
    assert not [
        text.get_text() for axes in drawn(name, ONE_SIZE).axes for text in axes.texts if "no" in text.get_text()
    ]


def test_a_polygon_has_three_corners() -> None:
    """With fewer task types there is one panel with a message. Controls have panels only with tuned cells."""
    rows = [row for row in rows_of("scores_by_task", [*ONE_SIZE, *CONTROL]) if row["judge"] == "oracle"]
    for types, panels in ((3, 2), (2, 1)):
        rows = [row for row in rows if types > 2 or row["task_type"] != "math"]
        with matplotlib.rc_context(STYLE):
            axes = radar.draw_tasks(rows).axes
        assert len(axes) == panels
        assert [text.get_text() for panel in axes for text in panel.texts] == (
            [] if types > 2 else ["A polygon needs 3 values. No cell has as many."]
        )


def test_tokens_of_the_methods_that_are_there() -> None:
    """A cell that the grid does not have leaves no empty panel."""
    cells: Cells = [("m", "a", "1000", "lft", "0", "ask"), ("m", "b", "1000", "lft", "0", "ask")]
    figure = drawn("top_shifted_tokens", [*cells, ("m", "b", "1000", "sft", "0", "ask")])
    assert len(figure.axes) == 2 + 4
    assert "no data" not in {text.get_text() for axes in figure.axes for text in axes.texts}


@pytest.mark.parametrize("name", FIGURES)
def test_same_bytes_again(name: str, tmp_path: Path) -> None:
    first, second = (draw(name, tmp_path, ONE_SIZE, SIZES[:1], out) for out in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".png").read_bytes() == second.with_suffix(".png").read_bytes()
    assert first.with_suffix(".pdf").read_bytes() == second.with_suffix(".pdf").read_bytes()


@pytest.mark.parametrize("name", FIGURES)
def test_a_page_has_what_the_figure_does_not_show(name: str) -> None:
    """Caption, files, number of responses, command, and cells without data. Names made of markup stay text."""
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
    """Figure 6: the parts of a bar are adjacent, in the order of the classes, and as wide as the shares."""
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


def test_a_frontier_goes_from_the_least_rate_to_the_largest() -> None:
    """To the right more is learned: a loss falls."""
    rows = [row for row in rows_of("tradeoff", ONE_SIZE[:1]) if row["family"] == "lft" and row["evalset"]]
    with matplotlib.rc_context(STYLE):
        learned, loss = DRAW["tradeoff"](rows[::-1]).axes
    assert [text.get_text() for text in learned.texts] == ["5e-05", "0.001", "0.1"]
    assert not learned.xaxis_inverted()
    assert loss.xaxis_inverted()


def test_methods_keep_their_colors() -> None:
    assert method_colors(["sft", "lft"])["lft"] == method_colors(["lft"])["lft"]
    many = method_colors(["lft", "sft", "nft", "bias", "base", "icl", "x", "y", "z"])
    assert len(set(many.values())) == len(many)
    assert all(to_rgb(color) for color in many.values())


def test_the_legend_of_origin_has_the_colors_of_the_bars() -> None:
    """Also where each panel has another method that the catalog does not know."""
    rows = rows_of("origin", [("m", "a", "1000", "own-1", "0", "ask"), ("m", "b", "1000", "own-2", "0", "ask")])
    with matplotlib.rc_context(STYLE):
        figure = DRAW["origin"](rows)
    (legend,) = figure.legends
    patches = {patch.get_label(): patch.get_facecolor()[:3] for patch in legend.get_patches()}
    assert len(set(patches.values())) == 2
    bars = {patch.get_facecolor()[:3] for axes in figure.axes for patch in axes.patches}
    assert bars == set(patches.values())


def test_whiskers_and_labels() -> None:
    assert whiskers({"value": 1.0, "ci_low": None, "ci_high": None}) == [[0.0], [0.0]]
    assert whiskers({"value": 1.0, "ci_low": 1.5, "ci_high": 2.0}) == [[0.0], [1.0]]
    sizes = {
        "500": "500",
        "1000": "1k",
        "1500": "1.5k",
        "52002": "52k",
        "326154": "326k",
        "1234567": "1230k",
        "": "all",
    }
    assert {size: size_label(size) for size in sizes} == sizes
    assert plain("x" * 99).endswith("…")
    assert drawable("a\u4e2d") == "a[U+4E2D]"
