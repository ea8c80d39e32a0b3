"""Figure 8 of the paper: whether marked spans come from the instruction data, by criterion, with levels to compare with."""

from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from closerlook.report.figures.panels import canvas, draw_or_say_empty, finish, lines, mark, point
from closerlook.report.figures.rows import (
    Row,
    by_metric,
    cells_of,
    differing,
    distinct,
    group_by,
    measured,
    plain,
)
from closerlook.report.figures.style import INK, method_colors

COLUMNS = 3
BAR = 0.8
"""Height of a criterion's bars together."""


def draw(origin: list[Row]) -> Figure:
    """A panel per model, dataset searched, evalset and marker; bars grouped by criterion and level, a bar per cell."""
    rows = measured(origin)
    colors = method_colors(distinct(rows, "method"))
    groups = group_by(rows, "model", "searched", "evalset", "marker")
    columns = min(COLUMNS, len(groups))
    down = ceil(len(groups) / columns)
    most = max(len(group_by(group, "criterion", "null")) for group in groups.values())
    figure = canvas(2.2 + 3.1 * columns, 0.8 + down * (1.1 + 0.34 * max(3, most)))
    panels = figure.subplots(down, columns, squeeze=False).ravel()
    for axes, (key, group) in zip(panels, groups.items(), strict=False):
        model, _, evalset, marker = differing(groups, key)
        axes.set_title("\n".join(filter(None, map(plain, (key[1], model, evalset, marker)))))
        draw_or_say_empty(_draw_panel, axes, group, colors)
    for axes in panels[len(groups) :]:
        axes.set_axis_off()
    methods = [Patch(color=color, label=plain(method)) for method, color in colors.items()]
    return finish(figure, origin, [*methods, mark("level to compare with", "|", INK, markersize=9)])


def _draw_panel(axes: Axes, rows: list[Row], colors: dict[str, str]) -> None:
    criteria = group_by(rows, "criterion", "null")
    cells = list(cells_of(rows))
    height = BAR / len(cells)
    for middle, group in enumerate(criteria.values()):
        for cell, values in cells_of(group).items():
            y = middle + (cells.index(cell) + 0.5) * height - BAR / 2
            metrics = by_metric(values)
            if share := metrics.get("from_data"):
                axes.barh(y, share["value"], height * 0.9, zorder=2, color=colors[share["method"]], alpha=0.75)
                point(axes, share, y, fmt="none", ecolor=INK, elinewidth=1, zorder=3)
            if level := metrics.get("level"):
                ends = [y - height / 2, y + height / 2]
                axes.plot([level["value"]] * 2, ends, color=INK, linewidth=2, zorder=4)
    names = [
        " vs ".join(filter(None, (plain(c.replace("_", " ")), plain(null.replace("_", " "))))) for c, null in criteria
    ]
    lines(axes, names, "share of marked spans", share=True)
    axes.set_xlim(0, 1.04)
