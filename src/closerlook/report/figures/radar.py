"""Judges' scores as polygons over aspects or task types, as the paper draws them (Figures 2, 3 and 9)."""

from math import ceil, pi, sin, sqrt
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.projections.polar import PolarAxes

from closerlook.report.figures.common import (
    SMALL,
    Row,
    canvas,
    distinct,
    measured,
    note_missing,
    of_cell,
    plain,
    say_empty,
    size_label,
    where,
)
from closerlook.report.figures.style import MUTED, colours
from closerlook.report.tables.registry import IDENTITY

ACROSS = 3
LINES = ("-", "--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)), (0, (1, 3)))
"""By size, the smallest first."""
PANEL = ("model", "dataset", "evalset", "judge")
CORNERS = 3
"""Of a polygon, at least."""


def draw(scores: list[Row]) -> Figure:
    """Corners are aspects."""
    return _draw(where(scores, metric="score"), "aspect")


def draw_tasks(scores: list[Row]) -> Figure:
    """Corners are types of task; a score is the mean over aspects."""
    return _draw(where(scores, metric="score", aspect="mean"), "task_type")


def _draw(rows: list[Row], corner: str) -> Figure:
    """A panel per model, dataset, evalset and judge: a polygon per method and size, and per control of the same model."""
    drawn, panels = measured(rows), _panels(measured(rows), corner)
    across = max(1, min(ACROSS, ceil(sqrt(len(panels)))))
    down = ceil(len(panels) / across)
    most = max((len(distinct(_shown(drawn, panel), *IDENTITY)) for panel in panels), default=0)
    figure = canvas(max(3.4 * across, 5.2), (2.9 + 0.17 * ceil(most / 2)) * down + 0.4 if panels else 1.6)
    grid = figure.subplots(max(1, down), across, squeeze=False, subplot_kw={"projection": "polar"}).ravel()
    colour = colours(row["method"] for row in rows)
    for axes, panel in zip(grid, panels, strict=False):
        title = [plain(name) if len({other[i] for other in panels}) > 1 else "" for i, name in enumerate(panel)]
        parts = (" · ".join(filter(None, part)) for part in (title[:2], title[2:]))
        axes.set_title("\n".join(filter(None, parts)), loc="center", pad=12)
        _panel(axes, _shown(drawn, panel), corner, colour)
    if not panels:
        say_empty(grid[0], f"A polygon needs {CORNERS} values. No cell has as many.")
    for axes in grid[max(1, len(panels)) :]:
        axes.remove()
    note_missing(figure, rows)
    return figure


def _panels(rows: list[Row], corner: str) -> list[tuple[str, ...]]:
    """Those that have a polygon; of controls alone where the grid has no others."""
    found = distinct([row for row in rows if row["dataset"]], *PANEL) or distinct(rows, *PANEL)
    return [one for one in found if len(distinct(where(rows, **dict(zip(PANEL, one, strict=True))), corner)) >= CORNERS]


def _shown(rows: list[Row], panel: tuple[str, ...]) -> list[Row]:
    """The rows of a panel: its own, and those of its controls."""
    named = dict(zip(PANEL, panel, strict=True))
    return [*where(rows, **named), *(where(rows, **(named | {"dataset": ""})) if named["dataset"] else [])]


def _panel(axes: PolarAxes, rows: list[Row], corner: str, colour: dict[str, str]) -> None:
    corners = [name for (name,) in distinct(rows, corner)]
    angle = {name: 2 * pi * i / len(corners) for i, name in enumerate(corners)}
    sizes = [size for (size,) in distinct([row for row in rows if row["dataset"]], "size")]
    handles = []
    for cell in distinct(rows, *IDENTITY):
        values = of_cell(rows, cell)
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
    axes.tick_params(axis="x", pad=2)
    for label, place in zip(axes.get_xticklabels(), angle.values(), strict=True):  # beside the circle, not on it
        label.set_horizontalalignment("center" if abs(sin(place)) < 0.1 else "left" if sin(place) > 0 else "right")
    axes.set_ylim(0.5, 5)
    axes.set_yticks([1, 2, 3, 4, 5], ["1", "2", "3", "4", "5"], color=MUTED, fontsize=SMALL - 1)
    axes.spines["polar"].set_visible(False)
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.06),
        ncols=2,
        fontsize=SMALL,
        handlelength=1.8,
        columnspacing=1.2,
    )


def _label(row: Row, sized: bool, rows: list[Row]) -> str:
    size = f" @{size_label(row['size'])}" if sized and row["dataset"] else ""
    seed = f" · seed {row['seed']}" if len(distinct(rows, "seed")) > 1 and row["dataset"] else ""
    return plain(row["method"]) + size + seed
