"""Borrowing by n-gram length: where it starts to mean anything."""

from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from closerlook.report.figures.common import (
    Row,
    canvas,
    cell_labels,
    distinct,
    legend,
    measured,
    note_missing,
    of_cell,
    percent,
    plain,
    say_empty,
    where,
    whiskers,
)
from closerlook.report.figures.style import INK, MUTED, SHIFTED
from closerlook.report.tables.registry import IDENTITY

DRAWN = 12
"""Cells drawn, at most."""
NULLS = ("unrelated", "matched", "base_answer")
"""Chance levels, the one to draw first."""
STYLES: dict[str, tuple[str, Literal["-", "--"], str]] = {
    "observed": (INK, "-", "o"),
    "chance": (MUTED, "--", "s"),
    "corrected": (SHIFTED, "-", "D"),
}


def draw(borrowing: list[Row]) -> Figure:
    """A row of panels per cell, for the dataset it was tuned on, a panel per unit: observed, chance and corrected."""
    rows = where(measured(borrowing), where="all")
    rows = [row for row in rows if row["ngram"] and row["ngram"] != "0"]
    cells, units = distinct(rows, *IDENTITY), [unit for (unit,) in distinct(rows, "unit")] or [""]
    labels = cell_labels(rows)
    shown = cells[:DRAWN] or [("",) * len(IDENTITY)]
    figure = canvas(1.6 + 2.5 * len(units), 0.7 + 1.9 * len(shown))
    panels = figure.subplots(len(shown), len(units), squeeze=False, sharex=True)
    nulls = set()
    for axes, unit in zip(panels[0], units, strict=True):
        axes.set_title(plain(unit))
    for line, cell in zip(panels, shown, strict=True):
        own = of_cell(rows, cell)
        own = where(own, searched=own[0]["searched"]) if own else []
        null = next((name for name in NULLS if where(own, null=name)), "")
        nulls.add(null)
        for axes, unit in zip(line, units, strict=True):
            _panel(axes, where(own, unit=unit, null=null))
        line[0].set_ylabel(labels.get(cell, "").replace(" · ", "\n"))
    for axes in panels[-1]:
        axes.set_xlabel("words per phrase")
    chance = f"chance ({', '.join(plain(name.replace('_', ' ')) for name in sorted(filter(None, nulls)))})"
    handles = [
        Line2D(
            [],
            [],
            color=colour,
            linestyle=line,
            marker=marker,
            markersize=4,
            label=chance if name == "chance" else name,
        )
        for name, (colour, line, marker) in STYLES.items()
    ]
    legend(figure, handles)
    more = f"{len(cells) - DRAWN} more cells are in the table" if len(cells) > DRAWN else ""
    note_missing(figure, borrowing, more)
    return figure


def _panel(axes: Axes, rows: list[Row]) -> None:
    if not rows:
        say_empty(axes)
        return
    for name, (colour, line, marker) in STYLES.items():
        some = sorted(where(rows, metric=name), key=lambda row: int(row["ngram"]))
        if some:
            x, y = [int(row["ngram"]) for row in some], [row["value"] for row in some]
            style: dict[str, Any] = {
                "color": colour,
                "linestyle": line,
                "marker": marker,
                "markersize": 3.5,
                "linewidth": 1.3,
            }
            axes.errorbar(x, y, yerr=whiskers(*some), elinewidth=0.8, zorder=3 if name == "corrected" else 2, **style)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_ylim(-0.3, 1.05)
    axes.set_xticks(range(1, 9))
    axes.yaxis.set_major_formatter(percent)
