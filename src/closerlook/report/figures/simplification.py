"""Figure 6: how cells tuned on simplified data compare with those tuned on the data themselves, as stacked bars."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from closerlook.report.figures.common import (
    SMALL,
    Row,
    canvas,
    cell_labels,
    distinct,
    lines,
    measured,
    note_missing,
    percent,
    plain,
    room,
    say_empty,
    where,
)
from closerlook.report.figures.style import MUTED
from closerlook.report.tables.metrics import CLASSES
from closerlook.report.tables.registry import IDENTITY

COLOURS = {
    "longer_preferred": "#4477aa",
    "different": "#66ccee",
    "both_inaccurate": "#ccbb44",
    "prolonged": "#ee6677",
    "core": "#aa3377",
    "other": "#bbbbbb",
    "disagreement": "#e4e4e4",
}
"""Tol's bright scheme, safe for the colour-blind: blue where both are accurate, red where the original is false."""
LEGEND_WIDTH = 2.6
NAMED_FROM = 0.06  # a share below this has no room for its number


def draw(simplification: list[Row]) -> Figure:
    """A bar per cell, evalset and judge: the classes' shares, in the table's order."""
    rows = [row for row in simplification if row["metric"] in CLASSES]
    labels = cell_labels(rows)
    bars = distinct(measured(rows), *IDENTITY, "judge")
    names = [f"{labels[bar[:-1]]} · {plain(bar[-1])}" for bar in bars]
    figure = canvas(3.8 + room(names) + LEGEND_WIDTH, 1.1 + 0.36 * max(3, len(bars)))
    axes = figure.subplots()
    if bars:
        _bars(axes, measured(rows), bars, labels)
    else:
        say_empty(axes)
    handles = [Patch(color=COLOURS[name], label=metric.label) for name, metric in CLASSES.items()]
    figure.legend(handles=handles, loc="outside right center", fontsize=SMALL)
    note_missing(figure, rows)
    return figure


def _bars(axes: Axes, rows: list[Row], bars: list[tuple[str, ...]], labels: dict[tuple[str, ...], str]) -> None:
    names = []
    several = len({bar[-1] for bar in bars}) > 1
    for y, bar in enumerate(bars):
        values = {row["metric"]: row for row in where(rows, **dict(zip((*IDENTITY, "judge"), bar, strict=True)))}
        left = 0.0
        for name in (name for name in CLASSES if name in values):
            share = values[name]["value"]
            axes.barh(y, share, left=left, height=0.7, color=COLOURS[name])
            if share >= NAMED_FROM:
                light = name in ("longer_preferred", "prolonged", "core")
                axes.text(
                    left + share / 2,
                    y,
                    percent(round(share, 2)),
                    ha="center",
                    va="center",
                    fontsize=SMALL,
                    color="white" if light else "#222222",
                    clip_on=True,
                )
            left += share
        axes.text(1.01, y, f"n={next(iter(values.values()))['n']}", va="center", fontsize=SMALL, color=MUTED)
        names.append(labels[bar[:-1]] + (f" · {plain(bar[-1])}" if several else ""))
    lines(axes, names, "share of the pairs decided")
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(percent)
