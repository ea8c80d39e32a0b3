"""Factual accuracy on the miniature, by who states the facts: pre-training, the instruction data, or no text."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from closerlook.report.figures.panels import canvas, draw_or_say_empty, finish, lines, mark, percent, point
from closerlook.report.figures.rows import (
    Key,
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
PANELS = {
    ("known", ""): "known",
    ("taught", "0"): "taught, not in\nthe cell's data",
    ("taught", "1"): "taught, stated\nonce",
    ("taught", "2-3"): "taught, stated\n2 or 3 times",
    ("taught", "4+"): "taught, stated\n4 times or more",
    ("beside", ""): "beside the\ntaught facts",
    ("unseen", ""): "unseen",
}
"""Headings by the columns facts and stated."""


def draw(accuracy: list[Row]) -> Figure:
    """A row of panels per evalset, one for each group of facts; a line per cell."""
    rows = where(accuracy, task_type="fact")
    styles = cell_styles(rows, given=("evalset",))
    evalsets = group_by(rows, "evalset")
    most = max(len(cells_of(group)) for group in evalsets.values())
    figure = canvas(13.0, 1.0 + len(evalsets) * (1.0 + 0.27 * max(3, most)))
    grid = figure.subplots(len(evalsets), len(PANELS), squeeze=False, sharey="row")
    for panels, ((evalset,), group) in zip(grid, evalsets.items(), strict=True):
        cells = list(cells_of(measured(group)))
        for axes, ((facts, stated), heading) in zip(panels, PANELS.items(), strict=True):
            axes.set_title(heading + (f"\n{plain(evalset)}" if len(evalsets) > 1 else ""))
            draw_or_say_empty(_draw_panel, axes, measured(where(group, facts=facts, stated=stated)), cells, styles)
    legend = [
        mark("stated right", "o"),
        mark("stated wrong", "X"),
        mark("right by the base model, same questions", "|"),
        Line2D([], [], label="right by chance", **CHANCE),
    ]
    return finish(figure, rows, legend)


def _draw_panel(axes: Axes, rows: list[Row], cells: list[Key], styles: Styles) -> None:
    for cell, group in cells_of(rows).items():
        y, metrics = cells.index(cell), by_metric(group)
        style: dict[str, Any] = {"color": styles[cell].color, "elinewidth": 1.3}
        if base := metrics.get("base_right"):
            axes.plot(base["value"], y, marker="|", color=MUTED, markersize=9, markeredgewidth=1.6, zorder=2)
        for name, fmt, more in (("wrong", "X", {"alpha": 0.45, "markersize": 5}), ("right", "o", {"markersize": 6})):
            if name in metrics:
                point(axes, metrics[name], y, fmt=fmt, zorder=3, **style, **more)
        if chance := metrics.get("chance"):
            axes.plot([chance["value"]] * 2, [y - 0.5, y + 0.5], zorder=1, **CHANCE)
    lines(axes, [styles[cell].label for cell in cells], "share of questions", ruled=True)
    axes.set_xticks([0, 0.5, 1])
    axes.xaxis.set_major_formatter(percent)
    axes.set_xlim(-0.08, 1.08)
