"""Figure 4 of the paper: divergence at the start of sentences and in the rest of them."""

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from closerlook.report.figures.panels import evalset_panels, finish, lines, point
from closerlook.report.figures.rows import Row, cell_of, cell_styles, cells_of, measured, where

PARTS = {"first_5pct": "first 5% of each sentence", "last_95pct": "last 95%"}
BAR = 0.38


def draw(kl_by_sentence_part: list[Row]) -> Figure:
    """A panel per evalset; two bars per cell: in full color for the first 5%, pale for the last 95%."""
    rows = where(kl_by_sentence_part, metric="kl_base_tuned")
    styles = cell_styles(measured(rows), given=("evalset",))

    def draw_panel(axes: Axes, rows: list[Row]) -> None:
        cells = list(cells_of(rows))
        whisker = {"ecolor": "#333333", "elinewidth": 0.9, "capsize": 1.8, "capthick": 0.9}
        for row in rows:
            y = cells.index(cell_of(row)) + (-0.5 if row["part"] == "first_5pct" else 0.5) * BAR
            axes.barh(y, row["value"], height=BAR, color=_tint(styles[cell_of(row)].color, row["part"]))
            point(axes, row, y, fmt="none", **whisker)
        lines(axes, [styles[cell].label for cell in cells], "mean KL(base‖tuned) in nats")

    figure = evalset_panels(rows, styles, 0.34, draw_panel)
    return finish(figure, rows, [Patch(color=_tint("#444444", part), label=name) for part, name in PARTS.items()])


def _tint(color: str, part: str) -> tuple[float, float, float]:
    """The color itself for the first part, mixed with white for the rest."""
    share = 1.0 if part == "first_5pct" else 0.42
    red, green, blue = (1 - share + share * channel for channel in to_rgb(color))
    return red, green, blue
