"""Judges' scores with their intervals, aspects or types of task side by side."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from closerlook.report.figures.panels import canvas, draw_or_say_empty, finish, label_width, lines, mark, point
from closerlook.report.figures.rows import (
    Row,
    Styles,
    by_metric,
    cell_styles,
    cells_of,
    differing,
    distinct,
    group_by,
    measured,
    plain,
    where,
)

RAW, CONTROLLED = "score", "score_length_controlled"


def draw(scores: list[Row]) -> Figure:
    """A column of panels per aspect."""
    return _draw(scores, "aspect")


def draw_tasks(scores: list[Row]) -> Figure:
    """A column of panels per type of task; a score is the mean over aspects."""
    return _draw(where(scores, aspect="mean"), "task_type")


def _draw(scores: list[Row], column: str) -> Figure:
    """A row of panels per evalset and judge, a column per aspect or type of task; a line per cell."""
    scores = [row for row in scores if row["method"]]  # not what length is worth in all cells together
    groups = group_by(scores, "evalset", "judge")
    columns = distinct(measured(scores), column) or [""]
    styles = cell_styles(scores, given=("evalset",))
    heights = [0.75 + 0.24 * max(3, len(cells_of(rows))) for rows in groups.values()]
    figure = canvas(
        0.9 + label_width(style.label for style in styles.values()) + 1.75 * len(columns), 0.6 + sum(heights)
    )
    grid = figure.subplots(len(groups), len(columns), squeeze=False, sharey="row", height_ratios=heights)
    for panels, (key, rows) in zip(grid, groups.items(), strict=True):
        cells = {cell: styles[cell] for cell in cells_of(rows)}
        for axes, name in zip(panels, columns, strict=True):
            axes.set_title(plain(name) if name else "")
            draw_or_say_empty(_draw_panel, axes, measured(where(rows, **{column: name})), cells)
        panels[0].set_ylabel("\n".join(plain(name) for name in differing(groups, key) if name))
    legend = [mark("mean score", "o")]
    if where(scores, metric=CONTROLLED):
        legend.append(mark("length-controlled", "|", markersize=8))
    return finish(figure, scores, legend)


def _draw_panel(axes: Axes, rows: list[Row], styles: Styles) -> None:
    """styles: of the cells that have a line, with or without a score here."""
    cells = cells_of(rows)
    for y, (cell, style) in enumerate(styles.items()):
        scores = by_metric(cells.get(cell, []))
        if CONTROLLED in scores:
            axes.plot(scores[CONTROLLED]["value"], y, marker="|", markersize=9, color=style.color, alpha=0.7, zorder=2)
        if RAW in scores:
            point(axes, scores[RAW], y, color=style.color, fmt="o", markersize=4.5, elinewidth=1.3, zorder=3)
    lines(axes, [style.label for style in styles.values()], ruled=True)
    axes.set_xlim(0.85, 5.15)
    axes.set_xticks([1, 2, 3, 4, 5])
