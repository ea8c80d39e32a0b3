"""Judges' scores with their intervals, aspects or task types side by side: what a radar chart shows, and how sure it is."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from closerlook.report.figures.common import (
    Row,
    canvas,
    cell_labels,
    distinct,
    legend,
    lines,
    measured,
    note_missing,
    of_cell,
    plain,
    room,
    say_empty,
    where,
    whiskers,
)
from closerlook.report.figures.style import LIGHT, MUTED, colours
from closerlook.report.tables.registry import IDENTITY

RAW, CONTROLLED = "score", "score_length_controlled"


def draw(scores: list[Row]) -> Figure:
    """A column of panels per aspect."""
    return _draw(scores, "aspect")


def draw_tasks(scores: list[Row]) -> Figure:
    """A column of panels per type of task; a score is the mean over aspects."""
    return _draw(where(scores, aspect="mean"), "task_type")


def _draw(scores: list[Row], column: str) -> Figure:
    """A row of panels per evalset and judge, a column per aspect or type of task; in each panel a line per cell."""
    groups = distinct(scores, "evalset", "judge") or [("", "")]
    columns = [name for (name,) in distinct(measured(scores), column)] or [""]
    labels = cell_labels(scores, given=("evalset",))
    cells = [distinct(where(scores, evalset=evalset, judge=judge), *IDENTITY) for evalset, judge in groups]
    heights = [0.75 + 0.24 * max(3, len(there)) for there in cells]
    figure = canvas(0.9 + room(labels.values()) + 1.75 * len(columns), 0.6 + sum(heights))
    panels = figure.subplots(len(groups), len(columns), squeeze=False, sharey="row", height_ratios=heights)
    for line, (evalset, judge), there in zip(panels, groups, cells, strict=True):
        rows = where(scores, evalset=evalset, judge=judge)
        for axes, name in zip(line, columns, strict=True):
            axes.set_title(plain(name) if name else "")
            _panel(axes, measured(where(rows, **{column: name})), there, labels)
        which = [name for i, name in enumerate((evalset, judge)) if len({group[i] for group in groups}) > 1]
        line[0].set_ylabel("\n".join(plain(name) for name in which))
    shown: dict[str, dict[str, Any]] = {"mean score": {"marker": "o"}}
    if where(scores, metric=CONTROLLED):
        shown["length-controlled"] = {"marker": "|", "markersize": 8}
    legend(figure, [Line2D([], [], color=MUTED, linestyle="none", label=name, **look) for name, look in shown.items()])
    note_missing(figure, scores)
    return figure


def _panel(axes: Axes, rows: list[Row], cells: list[tuple[str, ...]], labels: dict[tuple[str, ...], str]) -> None:
    if not rows:
        say_empty(axes)
        return
    colour = colours(cell[3] for cell in cells)
    for y, cell in enumerate(cells):
        axes.axhline(y, color=LIGHT, linewidth=0.5, zorder=0)
        values = {row["metric"]: row for row in of_cell(rows, cell)}
        if CONTROLLED in values:
            axes.plot(
                values[CONTROLLED]["value"], y, marker="|", markersize=9, color=colour[cell[3]], alpha=0.7, zorder=2
            )
        if RAW in values:
            style: dict[str, Any] = {"color": colour[cell[3]], "fmt": "o", "markersize": 4.5, "elinewidth": 1.3}
            axes.errorbar(values[RAW]["value"], y, xerr=whiskers(values[RAW]), zorder=3, **style)
    lines(axes, [labels[cell] for cell in cells])
    drawn = [
        row["value"] for row in rows if row["metric"] in (RAW, CONTROLLED)
    ]  # what is controlled may leave the scale
    axes.set_xlim(min(0.9, *drawn) - 0.05, max(5.1, *drawn) + 0.05)
    axes.set_xticks([1, 2, 3, 4, 5])
