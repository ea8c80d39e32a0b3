"""Table 11 of the paper as a figure: whether models answer as long as the data they were tuned on."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from closerlook.report.figures.panels import evalset_panels, finish, lines, mark, point
from closerlook.report.figures.rows import Row, cell_of, cell_styles, measured, where
from closerlook.report.figures.style import INK, LIGHT

DATASET: dict[str, Any] = {
    "fmt": "D",
    "color": INK,
    "markeredgecolor": "white",
    "markeredgewidth": 0.5,
    "markersize": 3.5,
    "elinewidth": 1,
    "zorder": 4,
}


def draw(lengths: list[Row]) -> Figure:
    """A panel per evalset; a line per cell from the mean length of its dataset's responses to that of its own."""
    rows = where(lengths, metric="tokens")
    answers, of_datasets = where(rows, what="model_response"), measured(where(rows, what="dataset_response"))
    styles = cell_styles(measured(answers), given=("evalset",))

    def draw_panel(axes: Axes, answers: list[Row]) -> None:
        for y, row in enumerate(answers):
            dataset = {name: row[name] for name in ("model", "dataset", "size")}
            for source in where(of_datasets, **dataset) if row["dataset"] else []:
                ends = [source["value"], row["value"]]
                axes.plot(ends, [y, y], color=LIGHT, linewidth=2, zorder=1, solid_capstyle="butt")
                point(axes, source, y, **DATASET)
            point(axes, row, y, fmt="o", color=styles[cell_of(row)].color, markersize=6, elinewidth=1.4, zorder=3)
        lines(axes, [styles[cell_of(row)].label for row in answers], "mean tokens", ruled=True)
        axes.set_xlim(left=0)

    figure = evalset_panels(answers, styles, 0.27, draw_panel)
    legend = [
        mark("responses of the dataset", "D", INK, markersize=5),
        mark("responses of the model", "o", markersize=5),
    ]
    return finish(figure, answers, legend)
