"""Figure 4: divergence at the start of sentences against the rest of them."""

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

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
from closerlook.figures.style import MUTED, colours
from closerlook.tables.registry import IDENTITY

PARTS = {"first_5pct": "first 5% of each sentence", "last_95pct": "last 95%"}
BAR = 0.38


def draw(kl_by_sentence_part: list[Row]) -> Figure:
    """A panel per evalset, in it two bars per cell: full colour for the first 5%, pale for the last 95%."""
    rows = where(kl_by_sentence_part, metric="kl_base_tuned")
    evalsets = [name for (name,) in distinct(rows, "evalset")] or [""]
    labels = cell_labels(measured(rows), given=("evalset",))
    most = max(len(distinct(where(measured(rows), evalset=evalset), *IDENTITY)) for evalset in evalsets)
    figure = canvas(min(9.6, 2.2 + 4.6 * len(evalsets)), 1.3 + 0.34 * max(3, most))
    panels = figure.subplots(1, len(evalsets), squeeze=False)[0]
    for axes, evalset in zip(panels, evalsets, strict=True):
        if len(evalsets) > 1:
            axes.set_title(plain(evalset))
        _panel(axes, measured(where(rows, evalset=evalset)), labels)
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
        place = cells.index(tuple(row[name] for name in IDENTITY))
        y = place + (-0.5 if row["part"] == "first_5pct" else 0.5) * BAR
        axes.barh(y, row["value"], height=BAR, color=_tint(colour[row["method"]], row["part"]))
        axes.errorbar(
            row["value"], y, xerr=whiskers(row), fmt="none", ecolor="#333333", elinewidth=0.9, capsize=1.8, capthick=0.9
        )
    axes.set_yticks(range(len(cells)), [labels[cell] for cell in cells])
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.yaxis.grid(False)
    axes.set_xlabel("mean KL(base‖tuned) in nats", color=MUTED)


def _tint(colour: str, part: str) -> tuple[float, float, float]:
    """The colour itself for the first part, mixed with white for the rest."""
    share = 1.0 if part == "first_5pct" else 0.42
    red, green, blue = (1 - share + share * channel for channel in to_rgb(colour))
    return red, green, blue
