"""Factual accuracy on the miniature: facts the base model was taught, and facts it could not know."""

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
    percent,
    plain,
    say_empty,
    where,
    whiskers,
)
from closerlook.report.figures.style import LIGHT, MUTED, colours
from closerlook.report.tables.registry import IDENTITY


def draw(accuracy: list[Row]) -> Figure:
    """A row of panels per evalset, one for known and one for unknown facts; in each a line per cell."""
    rows = where(accuracy, task_type="fact")
    evalsets = [name for (name,) in distinct(rows, "evalset")] or [""]
    labels = cell_labels(rows, given=("evalset",))
    most = max(len(distinct(where(rows, evalset=evalset), *IDENTITY)) for evalset in evalsets)
    figure = canvas(9.6, 0.7 + len(evalsets) * (0.7 + 0.27 * max(3, most)))
    panels = figure.subplots(len(evalsets), 2, squeeze=False, sharey="row")
    for line, evalset in zip(panels, evalsets, strict=True):
        for axes, facts in zip(line, ("known", "unknown"), strict=True):
            axes.set_title(f"{facts} facts" + (f", {plain(evalset)}" if len(evalsets) > 1 else ""))
            _panel(axes, measured(where(rows, evalset=evalset, facts=facts)), labels)
    styles = {"right": "o", "wrong": "X"}
    handles = [
        Line2D([], [], marker=m, color=MUTED, linestyle="none", label=f"stated {name}") for name, m in styles.items()
    ]
    legend(figure, [*handles, Line2D([], [], color=MUTED, linestyle=(0, (3, 2)), linewidth=1, label="right by chance")])
    note_missing(figure, rows)
    return figure


def _panel(axes: Axes, rows: list[Row], labels: dict[tuple[str, ...], str]) -> None:
    if not rows:
        say_empty(axes)
        return
    cells = distinct(rows, *IDENTITY)
    colour = colours(row["method"] for row in rows)
    for y, cell in enumerate(cells):
        values = {row["metric"]: row for row in of_cell(rows, cell)}
        right, wrong, chance = (values[name] for name in ("right", "wrong", "chance"))
        style: dict[str, Any] = {"color": colour[right["method"]], "elinewidth": 1.3}
        axes.errorbar(wrong["value"], y, xerr=whiskers(wrong), fmt="X", markersize=5, alpha=0.45, zorder=2, **style)
        axes.errorbar(right["value"], y, xerr=whiskers(right), fmt="o", markersize=6, zorder=3, **style)
        axes.plot([chance["value"]] * 2, [y - 0.5, y + 0.5], color=MUTED, linewidth=1, linestyle=(0, (3, 2)), zorder=1)
        axes.axhline(y, color=LIGHT, linewidth=0.5, zorder=0)
    lines(axes, [labels[cell] for cell in cells], "share of questions")
    axes.set_xlim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(percent)
