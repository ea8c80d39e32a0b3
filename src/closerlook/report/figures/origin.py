"""Whether marked spans come from the instruction data, by every criterion, with the level of chance (Figure 8)."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from closerlook.report.figures.common import (
    Row,
    canvas,
    cell_labels,
    dataset_label,
    distinct,
    legend,
    lines,
    measured,
    note_missing,
    of_cell,
    percent,
    plain,
    say_empty,
    where,
    whiskers,
)
from closerlook.report.figures.style import INK, colours
from closerlook.report.tables.registry import IDENTITY

GROUP = ("model", "dataset", "size", "evalset", "marker")
COLUMNS = 3
BAR = 0.8


def draw(origin: list[Row]) -> Figure:
    """A panel per model, dataset, evalset and marker; in each a group of bars per criterion and chance level, a bar per cell."""
    rows = measured(origin)
    groups = distinct(rows, *GROUP) or [("",) * len(GROUP)]
    columns = min(COLUMNS, len(groups))
    down = -(-len(groups) // columns)
    of_groups = [where(rows, **dict(zip(GROUP, group, strict=True))) for group in groups]
    most = max(len(distinct(some, "criterion", "null")) for some in of_groups)
    figure = canvas(2.2 + 3.1 * columns, 0.8 + down * (1.1 + 0.34 * max(3, most)))
    panels = figure.subplots(down, columns, squeeze=False).ravel()
    for axes, group, some in zip(panels, groups, of_groups, strict=False):
        names = [name for name, values in zip(GROUP, zip(*groups, strict=True), strict=True) if len(set(values)) > 1]
        said = [
            plain(value)
            for key, value in zip(GROUP, group, strict=True)
            if key in names and key not in ("dataset", "size")
        ]
        axes.set_title("\n".join(filter(None, [dataset_label(some[0]) if some else "", *said])))
        _panel(axes, some)
    for axes in panels[len(groups) :]:
        axes.set_axis_off()
    colour = colours(row["method"] for row in rows)
    level = Line2D([], [], marker="|", color=INK, linestyle="none", markersize=9, label="level to compare with")
    legend(figure, [*(Patch(color=shade, label=plain(method)) for method, shade in colour.items()), level])
    note_missing(figure, origin)
    return figure


def _panel(axes: Axes, rows: list[Row]) -> None:
    if not rows:
        say_empty(axes)
        return
    criteria, cells = distinct(rows, "criterion", "null"), distinct(rows, *IDENTITY)
    colour, labels = colours(row["method"] for row in rows), cell_labels(rows, given=("model", "dataset", "evalset"))
    height = BAR / len(cells)
    for y, (criterion, null) in enumerate(criteria):
        for i, cell in enumerate(cells):
            values = {row["metric"]: row for row in of_cell(where(rows, criterion=criterion, null=null), cell)}
            place = y + (i + 0.5) * height - BAR / 2
            if found := values.get("from_data"):
                style: dict[str, Any] = {"color": colour[found["method"]], "alpha": 0.75, "label": labels[cell]}
                axes.barh(place, found["value"], height * 0.9, zorder=2, **style)
                axes.errorbar(
                    found["value"], place, xerr=whiskers(found), fmt="none", ecolor=INK, elinewidth=1, zorder=3
                )
            if chance := values.get("chance"):
                axes.plot(
                    [chance["value"]] * 2, [place - height / 2, place + height / 2], color=INK, linewidth=2, zorder=4
                )
    names = [" vs ".join(filter(None, (plain(c.replace("_", " ")), plain(null)))) for c, null in criteria]
    lines(axes, names, "share of marked spans")
    axes.set_xlim(0, 1.04)
    axes.xaxis.set_major_formatter(percent)
