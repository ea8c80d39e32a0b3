"""Figure 6 of the paper: cells tuned on simplified data compared with those tuned on the data themselves, as stacked bars."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from closerlook.report.figures.panels import SMALL, canvas, draw_or_say_empty, finish, label_width, lines, percent
from closerlook.report.figures.rows import (
    Row,
    Styles,
    by_metric,
    cell_of,
    cell_styles,
    distinct,
    group_by,
    measured,
    plain,
)
from closerlook.report.figures.style import INK, MUTED
from closerlook.report.tables.metrics import CLASSES
from closerlook.report.tables.registry import IDENTITY

COLORS = {
    "longer_preferred": "#4477aa",
    "different": "#66ccee",
    "both_inaccurate": "#ccbb44",
    "prolonged": "#ee6677",
    "core": "#aa3377",
    "other": "#bbbbbb",
    "disagreement": "#e4e4e4",
}
"""Tol's bright scheme, safe for the color-blind: blue where both are accurate, red where the original is false."""
DARK = ("longer_preferred", "prolonged", "core")
LEGEND_WIDTH = 2.6
LABELED = 0.06
"""The least share whose bar has room for its number."""


def draw(simplification: list[Row]) -> Figure:
    """A bar per cell, evalset and judge: the classes' shares, in the table's order."""
    rows = [row for row in simplification if row["metric"] in CLASSES]
    decided = measured(rows)
    styles = cell_styles(rows)
    width = label_width(f"{styles[cell_of(row)].label} · {plain(row['judge'])}" for row in decided)
    bars = group_by(decided, *IDENTITY, "judge")
    figure = canvas(3.8 + width + LEGEND_WIDTH, 1.1 + 0.36 * max(3, len(bars)))
    draw_or_say_empty(_draw_bars, figure.subplots(), decided, styles)
    handles = [Patch(color=COLORS[name], label=metric.label) for name, metric in CLASSES.items()]
    figure.legend(handles=handles, loc="outside right center", fontsize=SMALL)
    return finish(figure, rows)


def _draw_bars(axes: Axes, rows: list[Row], styles: Styles) -> None:
    names = []
    judges = distinct(rows, "judge")
    middle: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SMALL, "clip_on": True}
    for y, ((*cell, judge), group) in enumerate(group_by(rows, *IDENTITY, "judge").items()):
        metrics = by_metric(group)
        left = 0.0
        for name in (name for name in CLASSES if name in metrics):
            share = metrics[name]["value"]
            axes.barh(y, share, left=left, height=0.7, color=COLORS[name])
            if share >= LABELED:
                text = percent(round(share, 2))
                axes.text(left + share / 2, y, text, color="white" if name in DARK else INK, **middle)
            left += share
        axes.text(1.01, y, f"n={group[0]['n']}", va="center", fontsize=SMALL, color=MUTED)
        names.append(styles[tuple(cell)].label + (f" · {plain(judge)}" if len(judges) > 1 else ""))
    lines(axes, names, "share of the pairs decided", share=True)
    axes.set_xlim(0, 1)
