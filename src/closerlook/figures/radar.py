"""Judges' scores as polygons over aspects or task types, as the paper draws them (Figures 2, 3 and 9)."""

from math import ceil, pi, sqrt
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.projections.polar import PolarAxes

from closerlook.figures.common import (
    SMALL,
    Row,
    canvas,
    distinct,
    measured,
    note_missing,
    plain,
    say_empty,
    size_label,
    where,
)
from closerlook.figures.style import MUTED, colours
from closerlook.tables.registry import IDENTITY

ACROSS = 3
LINES = ("-", "--", ":", "-.")
PANEL = ("model", "evalset", "judge", "dataset")


def draw(scores: list[Row]) -> Figure:
    """Corners are aspects."""
    return _draw(where(scores, metric="score"), "aspect")


def draw_tasks(scores: list[Row]) -> Figure:
    """Corners are types of task; a score is the mean over aspects."""
    return _draw(where(scores, metric="score", aspect="mean"), "task_type")


def _draw(rows: list[Row], corner: str) -> Figure:
    """A panel per model, dataset, evalset and judge: a polygon per method and size, and per control of the same model."""
    trained = [row for row in rows if row["dataset"]]
    panels = distinct(trained, *PANEL) or distinct(rows, *PANEL) or [("", "", "", "")]
    across = min(ACROSS, ceil(sqrt(len(panels))))
    down = ceil(len(panels) / across)
    figure = canvas(max(3.4 * across, 5.2), 4.3 * down + 0.4)
    grid = figure.subplots(down, across, squeeze=False, subplot_kw={"projection": "polar"}).ravel()
    colour = colours(row["method"] for row in rows)
    for axes, panel in zip(grid, panels, strict=False):
        named = dict(zip(PANEL, panel, strict=True))
        title = [name for i, name in enumerate(panel) if name and len({other[i] for other in panels}) > 1]
        axes.set_title(" · ".join(plain(name) for name in title), pad=16)
        shown = where(rows, **named)
        controls = where(rows, **(named | {"dataset": ""})) if named["dataset"] else []
        _panel(axes, measured([*shown, *controls]), corner, colour)
    for axes in grid[len(panels) :]:
        axes.remove()
    note_missing(figure, rows)
    return figure


def _panel(axes: PolarAxes, rows: list[Row], corner: str, colour: dict[str, str]) -> None:
    if not rows:
        say_empty(axes)
        return
    corners = [name for (name,) in distinct(rows, corner)]
    if len(corners) < 3:
        say_empty(axes, f"{len(corners)} values make no polygon")
        return
    angle = {name: 2 * pi * i / len(corners) for i, name in enumerate(corners)}
    sizes = [size for (size,) in distinct([row for row in rows if row["dataset"]], "size")]
    handles = []
    for cell in distinct(rows, *IDENTITY):
        values = where(rows, **dict(zip(IDENTITY, cell, strict=True)))
        first = values[0]
        line = LINES[sizes.index(first["size"]) % len(LINES)] if first["dataset"] else "-"
        style: dict[str, Any] = {
            "color": colour[first["method"]],
            "linestyle": line,
            "linewidth": 1.4 if first["dataset"] else 1.0,
        }
        closed = [*values, first]
        axes.plot([angle[row[corner]] for row in closed], [row["value"] for row in closed], marker="o", ms=2.5, **style)
        handles.append(Line2D([], [], label=_label(first, len(sizes) > 1, rows), **style))
    axes.set_theta_offset(pi / 2)
    axes.set_theta_direction(-1)
    axes.set_xticks(list(angle.values()), [plain(name) for name in corners])
    axes.set_ylim(0.5, 5)
    axes.set_yticks([1, 2, 3, 4, 5], ["1", "2", "3", "4", "5"], color=MUTED, fontsize=SMALL - 1)
    axes.spines["polar"].set_visible(False)
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.08),
        ncols=2,
        fontsize=SMALL,
        handlelength=1.8,
        columnspacing=1.2,
    )


def _label(row: Row, sized: bool, rows: list[Row]) -> str:
    size = f" @{size_label(row['size'])}" if sized and row["dataset"] else ""
    seed = f" · seed {row['seed']}" if len(distinct(rows, "seed")) > 1 and row["dataset"] else ""
    return plain(row["method"]) + size + seed
