"""What each learning rate of a sweep learned, against what it kept of the base model."""

from math import ceil
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from closerlook.config.sweep import rate_of
from closerlook.report.figures.panels import SMALL, canvas, finish, percent, say_empty, whiskers
from closerlook.report.figures.rows import (
    Key,
    Row,
    by_metric,
    dataset_label,
    distinct,
    group_by,
    measured,
    plain,
    where,
)
from closerlook.report.figures.style import MUTED, method_colors
from closerlook.report.tables.tradeoff import NATS

AXES = {"learned": "learned: taught facts right, minus base", "held_out_loss": "held-out loss in nats per token"}
KEPT = "kept: minus base"
FRONTIER = ("model", "dataset", "size", "evalset", "on")
"""Columns that tell frontiers apart."""
COLUMNS = 4
"""Panels side by side, at most."""
TITLE = 38
"""Characters in a line of a panel's title, at most."""


def draw(tradeoff: list[Row]) -> Figure:
    """A panel per dataset, measure of what was kept, and measure of what was learned that both have."""
    rates = where(tradeoff, against="")
    panels = [
        (key, axis, rows)
        for key, rows in group_by(measured(rates), *FRONTIER).items()
        for axis in AXES
        if where(rows, metric=axis) and where(rows, metric="kept")
    ]
    across = min(COLUMNS, max(1, len(panels)))
    down = max(1, ceil(len(panels) / across))
    figure = canvas(0.6 + 3.4 * across, 0.7 + 2.9 * down)
    grid = list(figure.subplots(down, across, squeeze=False).flat)
    colors = method_colors(distinct(rates, "family"))
    for axes, (_, axis, rows) in zip(grid, panels, strict=False):
        axes.set_title(_title(rows[0], [key for key, *_ in panels]))
        _draw_panel(axes, rows, axis, colors)
    for axes in grid[len(panels) :]:
        say_empty(axes, "" if panels else "no data")
    legend = [Line2D([], [], color=c, marker="o", markersize=4.5, label=plain(name)) for name, c in colors.items()]
    return finish(figure, rates, legend, note="Points are labeled with the learning rate")


def _title(row: Row, keys: list[Key]) -> str:
    """What was kept, and the columns in which frontiers differ."""
    columns = zip(FRONTIER, zip(*keys, strict=True), strict=True)
    varying = {name for name, values in columns if len(set(values) - {""}) > 1}
    parts = [plain(row["on"]), *(plain(row[name]) for name in ("model", "evalset") if name in varying and row[name])]
    parts += [dataset_label(row)] if varying & {"dataset", "size"} else []
    return "\n".join(wrap(" · ".join(parts), TITLE))


def _draw_panel(axes: Axes, rows: list[Row], axis: str, colors: dict[str, str]) -> None:
    """A line per method, from its least rate to its largest."""
    axes.axhline(0, color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    for number, ((family,), group) in enumerate(group_by(rows, "family").items()):
        cells = [by_metric(each) for each in group_by(group, "method").values()]
        points = [(cell[axis], cell["kept"]) for cell in cells if axis in cell and "kept" in cell]
        if not points:
            continue
        points.sort(key=lambda point: rate_of(point[0]["method"], family))
        xs, ys = ([row["value"] for row in side] for side in zip(*points, strict=True))
        look: dict[str, Any] = {"color": colors[family], "zorder": 3}
        axes.plot(xs, ys, marker="o", markersize=4.5, linewidth=1.4, **look)
        wide, high = (whiskers(*side) for side in zip(*points, strict=True))
        bars: dict[str, Any] = {"ecolor": colors[family], "elinewidth": 0.8, "alpha": 0.45, "zorder": 2}
        axes.errorbar(xs, ys, xerr=wide, yerr=high, fmt="none", **bars)
        aside: dict[str, Any] = {"xytext": (4, 4)} if number % 2 else {"xytext": (-4, -9), "ha": "right"}
        for x, y in points:
            place = {**aside, "textcoords": "offset points"}
            rate = f"{rate_of(x['method'], family):g}"
            axes.annotate(rate, (x["value"], y["value"]), fontsize=SMALL - 1, color=colors[family], **place)
    axes.set_xlabel(AXES[axis])
    if axis == "held_out_loss":
        axes.invert_xaxis()
    else:
        axes.xaxis.set_major_formatter(percent)
    nats = rows[0]["unit"] == NATS
    axes.set_ylabel(KEPT + (", nats per token" if nats else ""))
    if not nats:
        axes.yaxis.set_major_formatter(percent)
