"""Table 11 as a picture: do models answer as long as the data they were tuned on?"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from closerlook.report.figures.common import (
    Row,
    by_evalset,
    cell_labels,
    cell_of,
    legend,
    lines,
    measured,
    note_missing,
    say_empty,
    where,
    whiskers,
)
from closerlook.report.figures.style import INK, LIGHT, MUTED, colours

Labels = dict[tuple[str, ...], str]


def draw(lengths: list[Row]) -> Figure:
    """A panel per evalset, one below the other; in it a line per cell from its dataset's mean length to its own."""
    rows = where(lengths, metric="tokens")
    answers, taught = where(rows, what="model_response"), where(rows, what="dataset_response")
    labels = cell_labels(measured(answers), given=("evalset",))
    figure, panels = by_evalset(answers, labels.values(), 0.27)
    for axes, some in panels:
        _panel(axes, some, measured(taught), labels)
    marks = {"D": ("responses of the dataset", INK), "o": ("responses of the model", MUTED)}
    legend(
        figure,
        [
            Line2D([], [], marker=m, color=c, linestyle="none", markersize=5, label=text)
            for m, (text, c) in marks.items()
        ],
    )
    note_missing(figure, answers)
    return figure


def _panel(axes: Axes, answers: list[Row], taught: list[Row], labels: Labels) -> None:
    if not answers:
        say_empty(axes)
        return
    colour = colours(row["method"] for row in answers)
    for y, row in enumerate(answers):
        same = {name: row[name] for name in ("model", "dataset", "size")}
        for source in where(taught, **same) if row["dataset"] else []:
            axes.plot(
                [source["value"], row["value"]], [y, y], color=LIGHT, linewidth=2, zorder=1, solid_capstyle="butt"
            )
            axes.errorbar(
                source["value"],
                y,
                xerr=whiskers(source),
                fmt="D",
                color=INK,
                markeredgecolor="white",
                markeredgewidth=0.5,
                markersize=3.5,
                elinewidth=1,
                zorder=4,
            )
        axes.errorbar(
            row["value"],
            y,
            xerr=whiskers(row),
            fmt="o",
            color=colour[row["method"]],
            markersize=6,
            elinewidth=1.4,
            zorder=3,
        )
        axes.axhline(y, color=LIGHT, linewidth=0.5, zorder=0)
    lines(axes, [labels[cell_of(row)] for row in answers], "mean tokens")
    axes.set_xlim(left=0)
