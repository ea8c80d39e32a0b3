"""Figure 12 of the paper: the words that tuning brought, methods side by side."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from closerlook.core.grouping import grouped
from closerlook.core.schemas import CLASS_RANKS
from closerlook.report.figures.panels import SMALL, canvas, draw_or_say_empty, finish, percent, whiskers
from closerlook.report.figures.rows import Row, dataset_label, differing, distinct, group_by, measured, plain, where
from closerlook.report.figures.style import INK, MARGINAL, SHIFTED

CLASSES = {"shifted": SHIFTED, "marginal": MARGINAL}
TOKENS = 12
"""Tokens in a panel, at most."""
BLOCKS = 6
"""Blocks drawn, at most: more would make a picture that nothing can show."""


def draw(top_shifted_tokens: list[Row]) -> Figure:
    """A block of panels per model, dataset@size and evalset: rows of classes, columns of methods; of several seeds, the first."""
    shares = where(top_shifted_tokens, metric="share")
    alike = grouped(shares, ("model", "dataset", "size", "evalset")).values()
    shares = [row for rows in alike for row in rows if row["seed"] == rows[0]["seed"]]
    methods = distinct(measured(shares), "method")
    groups = group_by(measured(shares), "model", "dataset", "size", "seed", "evalset")
    most = max(len(distinct(rows, "method")) for rows in groups.values())
    drawn = list(groups.items())[:BLOCKS]
    figure = canvas(max(5.0, 1.0 + 2.25 * max(1, most)), 0.5 + 4.5 * len(drawn))
    blocks = figure.subfigures(len(drawn), 1, squeeze=False)[:, 0]
    for block, (key, rows) in zip(blocks, drawn, strict=True):
        if rows:
            model, _, _, seed, evalset = differing(groups, key)
            parts = [dataset_label(rows[0]), plain(model), f"seed {seed}" if seed else "", plain(evalset)]
            block.suptitle(" · ".join(filter(None, parts)), x=0.01, ha="left", fontsize=10, fontweight="bold")
        columns = [name for name in methods if name in distinct(rows, "method")] or [""]
        grid = block.subplots(len(CLASSES), len(columns), squeeze=False, sharex="row")
        for panels, (name, color) in zip(grid, CLASSES.items(), strict=True):
            for axes, method in zip(panels, columns, strict=True):
                axes.set_title(f"{plain(method)}: {name}" if method else name)
                draw_or_say_empty(_draw_panel, axes, where(rows, method=method, **{"class": name})[:TOKENS], color)
    legend = [Patch(color=color, label=f"{name}: base rank {CLASS_RANKS[name]}") for name, color in CLASSES.items()]
    note = f"The first {BLOCKS} of {len(groups)}; the table has all" if len(groups) > BLOCKS else ""
    return finish(figure, shares, legend, note)


def _draw_panel(axes: Axes, rows: list[Row], color: str) -> None:
    ys, values = range(len(rows)), [row["value"] for row in rows]
    axes.barh(ys, values, height=0.72, color=color)
    axes.errorbar(values, ys, xerr=whiskers(*rows), fmt="none", ecolor=INK, elinewidth=0.7, alpha=0.6)
    axes.set_yticks(ys, [plain(row["token"], 14, "␣") for row in rows], fontsize=SMALL)
    axes.set_ylim(TOKENS - 0.4, -0.6)  # bars of the same height in every panel, however few tokens it has
    axes.yaxis.grid(False)
    axes.xaxis.set_major_formatter(percent)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(axis="x", labelsize=SMALL)
