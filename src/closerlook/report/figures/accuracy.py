"""Factual accuracy on the miniature, for facts that the base model was taught and facts that it could not know."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from closerlook.report.figures.panels import canvas, draw_or_say_empty, finish, lines, mark, point
from closerlook.report.figures.rows import (
    Row,
    Styles,
    by_metric,
    cell_styles,
    cells_of,
    group_by,
    measured,
    plain,
    where,
)
from closerlook.report.figures.style import MUTED

CHANCE: dict[str, Any] = {"color": MUTED, "linewidth": 1, "linestyle": (0, (3, 2))}


def draw(accuracy: list[Row]) -> Figure:
    """A row of two panels per evalset, for known and for unknown facts; a line per cell."""
    rows = where(accuracy, task_type="fact")
    styles = cell_styles(rows, given=("evalset",))
    evalsets = group_by(rows, "evalset")
    most = max(len(cells_of(group)) for group in evalsets.values())
    figure = canvas(9.6, 0.7 + len(evalsets) * (0.7 + 0.27 * max(3, most)))
    grid = figure.subplots(len(evalsets), 2, squeeze=False, sharey="row")
    for panels, ((evalset,), group) in zip(grid, evalsets.items(), strict=True):
        for axes, facts in zip(panels, ("known", "unknown"), strict=True):
            axes.set_title(f"{facts} facts" + (f", {plain(evalset)}" if len(evalsets) > 1 else ""))
            draw_or_say_empty(_draw_panel, axes, measured(where(group, facts=facts)), styles)
    legend = [mark("stated right", "o"), mark("stated wrong", "X"), Line2D([], [], label="right by chance", **CHANCE)]
    return finish(figure, rows, legend)


def _draw_panel(axes: Axes, rows: list[Row], styles: Styles) -> None:
    cells = cells_of(rows)
    for y, (cell, group) in enumerate(cells.items()):
        right, wrong, chance = (by_metric(group)[name] for name in ("right", "wrong", "chance"))
        style: dict[str, Any] = {"color": styles[cell].color, "elinewidth": 1.3}
        point(axes, wrong, y, fmt="X", markersize=5, alpha=0.45, zorder=2, **style)
        point(axes, right, y, fmt="o", markersize=6, zorder=3, **style)
        axes.plot([chance["value"]] * 2, [y - 0.5, y + 0.5], zorder=1, **CHANCE)
    lines(axes, [styles[cell].label for cell in cells], "share of questions", share=True, ruled=True)
    axes.set_xlim(-0.02, 1.02)
