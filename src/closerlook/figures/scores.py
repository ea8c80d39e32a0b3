"""Judges' scores with their intervals, an aspect beside the next: what a radar chart shows, and how sure it is."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from closerlook.figures.common import (
    Row,
    canvas,
    cell_labels,
    distinct,
    legend,
    measured,
    note_missing,
    plain,
    say_empty,
    where,
    whiskers,
)
from closerlook.figures.style import LIGHT, MUTED, colours
from closerlook.tables.registry import IDENTITY

RAW, CONTROLLED = "score", "score_length_controlled"


def draw(scores: list[Row]) -> Figure:
    """A row of panels per evalset and judge, a panel per aspect; in each a line per cell."""
    groups = distinct(scores, "evalset", "judge") or [("", "")]
    aspects = [aspect for (aspect,) in distinct(measured(scores), "aspect")] or [""]
    labels = cell_labels(scores, given=("evalset",))
    cells = [distinct(where(scores, evalset=evalset, judge=judge), *IDENTITY) for evalset, judge in groups]
    heights = [0.75 + 0.24 * max(3, len(there)) for there in cells]
    figure = canvas(2.4 + 1.75 * len(aspects), 0.6 + sum(heights))
    panels = figure.subplots(len(groups), len(aspects), squeeze=False, sharey="row", height_ratios=heights)
    for line, (evalset, judge), there in zip(panels, groups, cells, strict=True):
        rows = where(scores, evalset=evalset, judge=judge)
        for axes, aspect in zip(line, aspects, strict=True):
            axes.set_title(plain(aspect) if aspect else "")
            _panel(axes, measured(where(rows, aspect=aspect)), there, labels)
        which = [name for i, name in enumerate((evalset, judge)) if len({group[i] for group in groups}) > 1]
        line[0].set_ylabel(" · ".join(plain(name) for name in which), color=MUTED)
    handles = [
        Line2D([], [], marker="o", color=MUTED, linestyle="none", label="mean score"),
        Line2D([], [], marker="|", color=MUTED, linestyle="none", markersize=8, label="length-controlled"),
    ]
    legend(figure, handles)
    note_missing(figure, scores)
    return figure


def _panel(axes: Axes, rows: list[Row], cells: list[tuple[str, ...]], labels: dict[tuple[str, ...], str]) -> None:
    if not rows:
        say_empty(axes)
        return
    colour = colours(cell[3] for cell in cells)
    for y, cell in enumerate(cells):
        axes.axhline(y, color=LIGHT, linewidth=0.5, zorder=0)
        values = {row["metric"]: row for row in where(rows, **dict(zip(IDENTITY, cell, strict=True)))}
        if CONTROLLED in values:
            axes.plot(
                values[CONTROLLED]["value"], y, marker="|", markersize=9, color=colour[cell[3]], alpha=0.7, zorder=2
            )
        if RAW in values:
            style: dict[str, Any] = {"color": colour[cell[3]], "fmt": "o", "markersize": 4.5, "elinewidth": 1.3}
            axes.errorbar(values[RAW]["value"], y, xerr=whiskers(values[RAW]), zorder=3, **style)
    axes.set_yticks(range(len(cells)), [labels[cell] for cell in cells])
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.set_xlim(0.9, 5.1)
    axes.set_xticks([1, 2, 3, 4, 5])
    axes.yaxis.grid(False)
