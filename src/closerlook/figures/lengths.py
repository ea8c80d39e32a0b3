"""Table 11 as a picture: do models answer as long as the data they were tuned on?"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from closerlook.figures.common import (
    Row,
    canvas,
    cell_labels,
    distinct,
    legend,
    measured,
    note_missing,
    plain,
    say_empty,
    where,
    whiskers,
)
from closerlook.figures.style import INK, LIGHT, MUTED, colours
from closerlook.tables.registry import IDENTITY

Labels = dict[tuple[str, ...], str]


def draw(lengths: list[Row]) -> Figure:
    """A panel per evalset; in it a line per cell from its dataset's mean length to its own."""
    rows = where(lengths, metric="tokens")
    answers, taught = where(rows, what="model_response"), where(rows, what="dataset_response")
    evalsets = [name for (name,) in distinct(answers, "evalset")] or [""]
    labels = cell_labels(measured(answers), given=("evalset",))
    most = max(len(where(measured(answers), evalset=evalset)) for evalset in evalsets)
    figure = canvas(min(9.6, 2.2 + 4.6 * len(evalsets)), 1.3 + 0.27 * max(3, most))
    panels = figure.subplots(1, len(evalsets), squeeze=False)[0]
    for axes, evalset in zip(panels, evalsets, strict=True):
        if len(evalsets) > 1:
            axes.set_title(plain(evalset))
        _panel(axes, measured(where(answers, evalset=evalset)), measured(taught), labels)
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
    axes.set_yticks(range(len(answers)), [labels[tuple(row[name] for name in IDENTITY)] for row in answers])
    axes.set_ylim(len(answers) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel("mean tokens", color=MUTED)
