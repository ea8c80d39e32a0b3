"""Borrowing by n-gram length, next to chance where it is known: from which length on it means anything."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from closerlook.report.figures.panels import canvas, draw_or_say_empty, finish, percent, whiskers
from closerlook.report.figures.rows import Row, cell_styles, distinct, group_by, measured, plain, where
from closerlook.report.figures.style import INK, MUTED, SHIFTED
from closerlook.report.tables.registry import IDENTITY
from closerlook.trace.phrases import NGRAMS

DRAWN = 12
"""Cells drawn, at most."""
NULLS = ("held_out", "unrelated", "matched", "base_answer")
"""Chance, and other comparisons; the first that a cell has is drawn."""
STYLES: dict[str, dict[str, Any]] = {
    "observed": {"color": INK, "linestyle": "-", "marker": "o"},
    "level": {"color": MUTED, "linestyle": "--", "marker": "s"},
    "difference": {"color": SHIFTED, "linestyle": "-", "marker": "D"},
}


def draw(borrowing: list[Row]) -> Figure:
    """A row of panels per tuned cell, for the dataset that it was tuned on, a panel per unit: observed, level and difference."""
    rows = [r for r in where(measured(borrowing), where="all") if r["dataset"] and r["ngram"] not in ("", "0")]
    cells, units = group_by(rows, *IDENTITY), distinct(rows, "unit") or [""]
    styles = cell_styles(rows)
    shown = list(cells.items())[:DRAWN]
    figure = canvas(1.6 + 2.5 * len(units), 0.7 + 1.9 * len(shown))
    grid = figure.subplots(len(shown), len(units), squeeze=False, sharex=True)
    nulls = set()
    for axes, unit in zip(grid[0], units, strict=True):
        axes.set_title(plain(unit))
    for panels, (cell, group) in zip(grid, shown, strict=True):
        group = where(group, searched=group[0]["searched"]) if group else []
        null = next((name for name in NULLS if where(group, null=name)), "")
        nulls.add(plain(null.replace("_", " ")))
        for axes, unit in zip(panels, units, strict=True):
            draw_or_say_empty(_draw_panel, axes, where(group, unit=unit, null=null))
        panels[0].set_ylabel((styles[cell].label if group else "").replace(" · ", "\n"))
    for axes in grid[-1]:
        axes.set_xlabel("words per phrase")
    names = {"level": f"level ({', '.join(sorted(filter(None, nulls)))})"}
    legend = [Line2D([], [], markersize=4, label=names.get(name, name), **style) for name, style in STYLES.items()]
    note = f"{len(cells) - DRAWN} more cells are in the table" if len(cells) > DRAWN else ""
    return finish(figure, borrowing, legend, note)


def _draw_panel(axes: Axes, rows: list[Row]) -> None:
    for name, style in STYLES.items():
        group = sorted(where(rows, metric=name), key=lambda row: int(row["ngram"]))
        if group:
            x, y = [int(row["ngram"]) for row in group], [row["value"] for row in group]
            order = 3 if name == "difference" else 2
            axes.errorbar(
                x, y, yerr=whiskers(*group), markersize=3.5, linewidth=1.3, elinewidth=0.8, zorder=order, **style
            )
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_ylim(-0.3, 1.05)
    axes.set_xticks(NGRAMS)
    axes.yaxis.set_major_formatter(percent)
