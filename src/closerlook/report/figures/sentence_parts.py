"""Figure 4: divergence at the start of sentences against the rest of them."""

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from closerlook.report.figures.common import (
    Row,
    by_evalset,
    cell_labels,
    cell_of,
    distinct,
    legend,
    lines,
    measured,
    note_missing,
    say_empty,
    where,
    whiskers,
)
from closerlook.report.figures.style import colours
from closerlook.report.tables.registry import IDENTITY

PARTS = {"first_5pct": "first 5% of each sentence", "last_95pct": "last 95%"}
BAR = 0.38


def draw(kl_by_sentence_part: list[Row]) -> Figure:
    """A panel per evalset, one below the other; in it two bars per cell: full colour for the first 5%, pale for the last 95%."""
    rows = where(kl_by_sentence_part, metric="kl_base_tuned")
    labels = cell_labels(measured(rows), given=("evalset",))
    figure, panels = by_evalset(rows, labels.values(), 0.34)
    for axes, some in panels:
        _panel(axes, some, labels)
    legend(figure, [Patch(color=_tint("#444444", part), label=name) for part, name in PARTS.items()])
    note_missing(figure, rows)
    return figure


def _panel(axes: Axes, rows: list[Row], labels: dict[tuple[str, ...], str]) -> None:
    if not rows:
        say_empty(axes)
        return
    cells = distinct(rows, *IDENTITY)
    colour = colours(row["method"] for row in rows)
    for row in rows:
        y = cells.index(cell_of(row)) + (-0.5 if row["part"] == "first_5pct" else 0.5) * BAR
        axes.barh(y, row["value"], height=BAR, color=_tint(colour[row["method"]], row["part"]))
        axes.errorbar(
            row["value"], y, xerr=whiskers(row), fmt="none", ecolor="#333333", elinewidth=0.9, capsize=1.8, capthick=0.9
        )
    lines(axes, [labels[cell] for cell in cells], "mean KL(base‖tuned) in nats")


def _tint(colour: str, part: str) -> tuple[float, float, float]:
    """The colour itself for the first part, mixed with white for the rest."""
    share = 1.0 if part == "first_5pct" else 0.42
    red, green, blue = (1 - share + share * channel for channel in to_rgb(colour))
    return red, green, blue
