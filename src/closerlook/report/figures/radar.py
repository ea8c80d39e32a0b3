"""Judges' scores as polygons over aspects or types of task, as in Figures 2, 3 and 9 of the paper."""

from math import ceil, pi, sin, sqrt
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.projections.polar import PolarAxes

from closerlook.report.figures.panels import SMALL, canvas, finish, say_empty
from closerlook.report.figures.rows import (
    Key,
    Row,
    cells_of,
    differing,
    distinct,
    group_by,
    measured,
    plain,
    seed_label,
    size_label,
    where,
)
from closerlook.report.figures.style import MUTED, method_colors

ACROSS = 3
"""Panels side by side, at most."""
LINE_STYLES = ("-", "--", ":", "-.", (0, (6, 2, 1, 2, 1, 2)), (0, (1, 3)))
"""By size, the smallest first."""
CORNERS = 3
"""Corners of a polygon, at least."""


def draw(scores: list[Row]) -> Figure:
    """Corners are aspects."""
    return _draw(where(scores, metric="score"), "aspect")


def draw_tasks(scores: list[Row]) -> Figure:
    """Corners are types of task; a score is the mean over aspects."""
    return _draw(where(scores, metric="score", aspect="mean"), "task_type")


def _draw(rows: list[Row], corner: str) -> Figure:
    """A panel per model, dataset, evalset and judge; a polygon per method and size, and per control of the same model."""
    panels = _panels(measured(rows), corner)
    across = max(1, min(ACROSS, ceil(sqrt(len(panels)))))
    down = ceil(len(panels) / across)
    most = max((len(cells_of(group)) for group in panels.values()), default=0)
    figure = canvas(max(3.4 * across, 5.2), (2.9 + 0.17 * ceil(most / 2)) * down + 0.4 if panels else 1.6)
    grid = figure.subplots(max(1, down), across, squeeze=False, subplot_kw={"projection": "polar"}).ravel()
    colors = method_colors(distinct(rows, "method"))
    for axes, (key, group) in zip(grid, panels.items(), strict=False):
        model, dataset, evalset, judge = map(plain, differing(panels, key))
        title = (" · ".join(filter(None, part)) for part in ((model, dataset), (evalset, judge)))
        axes.set_title("\n".join(filter(None, title)), loc="center", pad=12)
        _draw_panel(axes, group, corner, colors)
    if not panels:
        say_empty(grid[0], f"A polygon needs {CORNERS} values. No cell has as many.")
    for axes in grid[max(1, len(panels)) :]:
        axes.remove()
    return finish(figure, rows)


def _panels(rows: list[Row], corner: str) -> dict[Key, list[Row]]:
    """The rows of each panel that has a polygon: its own and its controls'. Controls alone only if there is nothing else."""
    panels = {}
    tuned = [row for row in rows if row["dataset"]]
    for key, group in group_by(tuned or rows, "model", "dataset", "evalset", "judge").items():
        model, dataset, evalset, judge = key
        if len(distinct(group, corner)) >= CORNERS:
            controls = where(rows, model=model, dataset="", evalset=evalset, judge=judge) if dataset else []
            panels[key] = [*group, *controls]
    return panels


def _draw_panel(axes: PolarAxes, rows: list[Row], corner: str, colors: dict[str, str]) -> None:
    corners = distinct(rows, corner)
    angles = {name: 2 * pi * i / len(corners) for i, name in enumerate(corners)}
    sizes = distinct([row for row in rows if row["dataset"]], "size")
    seeds = distinct(rows, "seed")
    legend = []
    for group in cells_of(rows).values():
        first = group[0]
        tuned = bool(first["dataset"])
        style: dict[str, Any] = {
            "color": colors[first["method"]],
            "linestyle": LINE_STYLES[sizes.index(first["size"]) % len(LINE_STYLES)] if tuned else "-",
            "linewidth": 1.4 if tuned else 1.0,
        }
        closed = [*group, first]
        axes.plot(
            [angles[row[corner]] for row in closed], [row["value"] for row in closed], marker="o", ms=2.5, **style
        )
        size = f" @{size_label(first['size'])}" if tuned and len(sizes) > 1 else ""
        seed = f" · {seed_label(first)}" if tuned and len(seeds) > 1 else ""
        legend.append(Line2D([], [], label=plain(first["method"]) + size + seed, **style))
    axes.set_theta_offset(pi / 2)
    axes.set_theta_direction(-1)
    axes.set_xticks(list(angles.values()), [plain(name) for name in corners])
    axes.tick_params(axis="x", pad=2)
    for label, angle in zip(axes.get_xticklabels(), angles.values(), strict=True):  # next to the circle, not on it
        label.set_horizontalalignment("center" if abs(sin(angle)) < 0.1 else "left" if sin(angle) > 0 else "right")
    axes.set_ylim(0.5, 5)
    axes.set_yticks([1, 2, 3, 4, 5], ["1", "2", "3", "4", "5"], color=MUTED, fontsize=SMALL - 1)
    axes.spines["polar"].set_visible(False)
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.06), "ncols": 2}
    axes.legend(handles=legend, fontsize=SMALL, handlelength=1.8, columnspacing=1.2, **place)
