"""Parts that the figures share: the canvas, panels, marks with intervals, the legend, and the note on missing cells."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from closerlook.report.figures.rows import Row, Styles, cells_of, group_by, measured, missing_labels, plain
from closerlook.report.figures.style import LIGHT, MUTED

SMALL = 7.5
NAMED = 4
"""Missing cells that the note names, at most."""
TALL = 40
"""A panel with more lines than this has its numbers above it too."""
HEAD, FOOT = 0.32, 0.22
"""Inches above and below the panels."""


def canvas(width: float, height: float) -> Figure:
    """An empty figure, in inches, with room for a legend above the panels and a note below them."""
    rect = (0, FOOT / height, 1, 1 - (HEAD + FOOT) / height)
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(rect=rect, w_pad=0.1, h_pad=0.08))


def label_width(labels: Iterable[str]) -> float:
    """Inches that the longest label takes next to an axis."""
    return 0.085 * max(map(len, labels), default=0)


def evalset_panels(rows: list[Row], styles: Styles, line: float, draw: Callable[[Axes, list[Row]], None]) -> Figure:
    """A figure with a panel per evalset, one below the other, each drawn from the evalset's measured rows.

    styles: of the cells, which are the lines of a panel. line: height of a line in inches.
    """
    groups = {evalset: measured(group) for (evalset,), group in group_by(rows, "evalset").items()}
    heights = [0.6 + line * max(3, len(cells_of(group))) for group in groups.values()]
    figure = canvas(4.4 + label_width(style.label for style in styles.values()), 0.7 + sum(heights))
    panels = figure.subplots(len(groups), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axes, (evalset, group) in zip(panels, groups.items(), strict=True):
        axes.set_title(plain(evalset) if len(groups) > 1 else "")
        draw_or_say_empty(draw, axes, group)
    return figure


def draw_or_say_empty(draw: Callable[..., None], axes: Axes, rows: list[Row], *arguments: Any) -> None:
    """Call `draw(axes, rows, *arguments)`; without rows, the panel says that it has no data."""
    if rows:
        draw(axes, rows, *arguments)
    else:
        say_empty(axes)


def say_empty(axes: Axes, message: str = "no data") -> None:
    """Turn a panel into a message."""
    axes.text(0.5, 0.5, message, transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.set_axis_off()


def lines(axes: Axes, names: Sequence[str], quantity: str = "", *, share: bool = False, ruled: bool = False) -> None:
    """Give a panel a line per name, from the top down at y = 0, 1, ..., and a quantity on its x axis.

    share: the quantity is drawn in percent. ruled: each line is drawn.
    """
    for y in range(len(names)) if ruled else ():
        axes.axhline(y, color=LIGHT, linewidth=0.5, zorder=0)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.yaxis.grid(False)
    axes.set_xlabel(quantity)
    axes.tick_params(axis="x", labelbottom=True, labeltop=len(names) > TALL)
    if share:
        axes.xaxis.set_major_formatter(percent)


def percent(value: float, _: float = 0) -> str:
    """A share as an axis writes it."""
    return f"{round(100 * value, 6):g}%"


def whiskers(*rows: Row) -> list[list[float]]:
    """Distances from the values to the ends of their intervals, as errorbar takes them; 0 where there is no interval.

    A percentile interval may leave out the value: the distance on that side is 0.
    """
    pairs = [
        (row["value"], *(row["value"] if row[end] is None else row[end] for end in ("ci_low", "ci_high")))
        for row in rows
    ]
    return [[max(0.0, value - low) for value, low, _ in pairs], [max(0.0, high - value) for value, _, high in pairs]]


def point(axes: Axes, row: Row, y: float, **style: Any) -> None:
    """A mark at the row's value, with its interval; `fmt="none"`: the interval alone."""
    axes.errorbar(row["value"], y, xerr=whiskers(row), **style)


def mark(label: str, marker: str, color: str = MUTED, **style: Any) -> Line2D:
    """A legend's entry for a mark without a line."""
    return Line2D([], [], marker=marker, color=color, linestyle="none", label=label, **style)


def finish(figure: Figure, rows: list[Row], legend: Sequence[Artist] | None = None, note: str = "") -> Figure:
    """The figure, with a legend in one line above the panels, and below them the note and the cells that have no value."""
    if legend is not None:
        columns = max(1, len(legend))
        figure.legend(handles=legend, loc="upper left", ncols=columns, bbox_to_anchor=(0.0, 1.0), handlelength=1.4)
    notes = [note] if note else []
    if missing := missing_labels(rows):
        rest = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        notes.append(f"Not drawn, no data: {', '.join(missing[:NAMED])}{rest}")
    y = 0.05 / figure.get_figheight()
    figure.text(0.01, y, ". ".join(notes), fontsize=SMALL, color=MUTED, ha="left", va="bottom")
    return figure
