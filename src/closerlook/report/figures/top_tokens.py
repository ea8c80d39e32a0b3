"""Figure 12: the words that tuning brought, methods side by side."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from closerlook.report.figures.common import (
    SMALL,
    Row,
    canvas,
    dataset_label,
    distinct,
    legend,
    measured,
    note_missing,
    percent,
    plain,
    say_empty,
    where,
    whiskers,
)
from closerlook.report.figures.style import INK, MARGINAL, SHIFTED

CLASSES = {"shifted": SHIFTED, "marginal": MARGINAL}
RANKS = {"shifted": "shifted: base rank above 3", "marginal": "marginal: base rank 2 or 3"}
TOKENS = 12
BLOCKS = 6
GROUP = ("model", "dataset", "size", "seed", "evalset")


def draw(top_shifted_tokens: list[Row]) -> Figure:
    """For each model, dataset@size, seed and evalset a block of bars: a row per class, a column per method."""
    shares = where(top_shifted_tokens, metric="share")
    groups = distinct(measured(shares), *GROUP) or [("",) * len(GROUP)]
    most = max(
        len(distinct(where(measured(shares), **dict(zip(GROUP, group, strict=True))), "method")) for group in groups
    )
    drawn = groups[:BLOCKS]  # a large grid would make a picture that nothing can show
    figure = canvas(max(5.0, 1.0 + 2.25 * most), 0.5 + 4.5 * len(drawn))
    blocks = figure.subfigures(len(drawn), 1, squeeze=False)[:, 0]
    for block, group in zip(blocks, drawn, strict=True):
        rows = where(measured(shares), **dict(zip(GROUP, group, strict=True)))
        there = {row["method"] for row in rows}
        methods = [name for (name,) in distinct(measured(shares), "method") if name in there] or [""]
        if rows:
            block.suptitle(_heading(rows[0], groups), x=0.01, ha="left", fontsize=10, fontweight="bold")
        panels = block.subplots(len(CLASSES), len(methods), squeeze=False, sharex="row")
        for line, (class_, colour) in zip(panels, CLASSES.items(), strict=True):
            for axes, method in zip(line, methods, strict=True):
                axes.set_title(f"{plain(method)}: {class_}" if method else class_)
                _panel(axes, where(rows, method=method, **{"class": class_})[:TOKENS], colour)
    legend(figure, [Patch(color=colour, label=RANKS[class_]) for class_, colour in CLASSES.items()])
    more = f"The first {BLOCKS} of {len(groups)}; the table has all" if len(groups) > BLOCKS else ""
    note_missing(figure, shares, more)
    return figure


def _heading(row: Row, groups: list[tuple[str, ...]]) -> str:
    """dataset@size, and what else tells the blocks apart."""
    varying = [name for i, name in enumerate(GROUP) if len({group[i] for group in groups}) > 1]
    others = [
        f"seed {row[name]}" if name == "seed" else plain(row[name])
        for name in varying
        if name not in ("dataset", "size")
    ]
    return " · ".join([dataset_label(row), *others])


def _panel(axes: Axes, rows: list[Row], colour: str) -> None:
    if not rows:
        say_empty(axes)
        return
    places = range(len(rows))
    axes.barh(places, [row["value"] for row in rows], height=0.72, color=colour)
    values = [row["value"] for row in rows]
    axes.errorbar(values, places, xerr=whiskers(*rows), fmt="none", ecolor=INK, elinewidth=0.7, alpha=0.6)
    axes.set_yticks(places, [plain(row["token"], 14, "␣") for row in rows], fontsize=SMALL)
    axes.set_ylim(TOKENS - 0.4, -0.6)  # as many lines in each panel, however few tokens there are
    axes.yaxis.grid(False)
    axes.xaxis.set_major_formatter(percent)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(axis="x", labelsize=SMALL)
