"""Figure 1 of the paper: how far tuning moved the distributions, against the size of the dataset."""

from math import log10
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from closerlook.core.schemas import CLASS_RANKS
from closerlook.report.figures.panels import SMALL, canvas, draw_or_say_empty, finish, mark, percent, whiskers
from closerlook.report.figures.rows import Row, distinct, group_by, measured, plain, size_label, where
from closerlook.report.figures.style import INK, MARKERS, method_colors

PANELS = {
    "kl_base_tuned": "KL(base‖tuned) in nats",
    "base_prob": "base probability",
    "base_rank": "base rank (from 1)",
    **{name: f"{name}: rank {ranks}" for name, ranks in CLASS_RANKS.items()},
}
"""The title of each metric's panel."""

STRETCH = 2.4  # width of a tenfold size, on the x axis
SIDE = 0.35  # room on either side of a size, in which its models and methods are drawn side by side
GAP = 0.5  # between datasets
LETTER = 0.2  # width of a letter of a dataset's name
LETTERS = 12  # in a line of a dataset's name, at most
UNIT = 0.33  # inches of 1 on the x axis

Positions = dict[str, dict[str, float]]
"""The position of each size of each dataset on the x axis."""


def draw(shift: list[Row]) -> Figure:
    """Six panels per evalset; a line per model, dataset, method and seed, with its interval."""
    evalsets = group_by(shift, "evalset")
    positions = _positions(shift)
    width = UNIT * max((_extent(*sizes)[1] for sizes in positions.items()), default=0)
    columns = 3 if width < 2.9 else 2 if width < 4.8 else 1
    down = len(PANELS) // columns
    figure = canvas(max(9.6, 1.6 + width), 0.9 + (2.3 * down + 0.2) * len(evalsets))
    blocks = figure.subfigures(len(evalsets), 1, squeeze=False)[:, 0]
    for block, ((evalset,), rows) in zip(blocks, evalsets.items(), strict=True):
        grid = block.subplots(down, columns, sharex=True, squeeze=False)
        if len(evalsets) > 1:
            block.suptitle(plain(evalset), x=0.01, ha="left", fontsize=10, fontweight="bold")
        for axes, (metric, title) in zip(grid.flat, PANELS.items(), strict=True):
            axes.set_title(title)
            axes.xaxis.grid(False)
            draw_or_say_empty(_draw_panel, axes, measured(where(rows, metric=metric)), positions, shift)
        for axes in grid[-1] if positions else ():
            _name_sizes(axes, positions)
    models, colors = distinct(shift, "model"), method_colors(distinct(shift, "method"))
    legend = [Line2D([], [], color=c, marker="o", markersize=4.5, label=plain(name)) for name, c in colors.items()]
    if len(models) > 1:
        legend += [mark(plain(model), _marker(model, models)) for model in models]
    return finish(figure, where(shift, metric="kl_base_tuned"), legend)


def _positions(rows: list[Row]) -> Positions:
    """Datasets one after the other, the sizes of each on a logarithmic scale; all of a dataset comes after its sizes."""
    positions: Positions = {}
    x = 0.0
    for dataset in distinct(rows, "dataset"):
        sizes = sorted(distinct(where(rows, dataset=dataset), "size"), key=lambda size: int(size or 10**12))
        numbers = [int(size) for size in sizes if size]
        offsets = {str(n): STRETCH * log10(n / numbers[0]) for n in numbers}
        if "" in sizes:
            offsets[""] = max(offsets.values(), default=-STRETCH / 2) + STRETCH / 2
        left, right = _extent(dataset, offsets)
        positions[dataset] = {size: offset - left + x for size, offset in offsets.items()}
        x += right - left + GAP
    return positions


def _extent(dataset: str, sizes: dict[str, float]) -> tuple[float, float]:
    """The ends of a dataset on the x axis: of its sizes, or of its name below them."""
    low, high = min(sizes.values()), max(sizes.values())
    half = max(high - low + 2 * SIDE, LETTER * max(map(len, _name_lines(dataset)))) / 2
    return (low + high) / 2 - half, (low + high) / 2 + half


def _name_lines(dataset: str) -> list[str]:
    """A dataset's name in short lines."""
    return wrap(plain(dataset, 3 * LETTERS), LETTERS) or [""]


def _marker(model: str, models: list[str]) -> str:
    return MARKERS[models.index(model) % len(MARKERS)]


def _draw_panel(axes: Axes, rows: list[Row], positions: Positions, shift: list[Row]) -> None:
    """Lines of the rows, which are of one metric. `shift` has the figure's models and methods."""
    variants = list(group_by(shift, "model", "method"))  # drawn side by side, so that none hides another
    models, colors = distinct(shift, "model"), method_colors(distinct(shift, "method"))
    step = min(0.14, 2 * SIDE / len(variants))
    for (model, method, dataset, _), line in group_by(rows, "model", "method", "dataset", "seed").items():
        line.sort(key=lambda row: positions[row["dataset"]][row["size"]])
        aside = (variants.index((model, method)) - (len(variants) - 1) / 2) * step
        xs = [positions[dataset][row["size"]] + aside for row in line]
        values = [row["value"] for row in line]
        style: dict[str, Any] = {"color": colors[method], "marker": _marker(model, models), "markersize": 4.5}
        axes.plot(xs, values, linewidth=1.4, markeredgecolor="white", markeredgewidth=0.5, zorder=3, **style)
        axes.errorbar(xs, values, yerr=whiskers(*line), fmt="none", ecolor=colors[method], elinewidth=1.2, zorder=2)
        low, high = ([row["value"] if row[end] is None else row[end] for row in line] for end in ("ci_low", "ci_high"))
        axes.fill_between(xs, low, high, color=colors[method], alpha=0.14, linewidth=0, zorder=1)
    for sizes in list(positions.items())[1:]:
        axes.axvline(_extent(*sizes)[0] - GAP / 2, color="#eeeeee", linewidth=0.8, zorder=0)
    _scale(axes, rows)


def _scale(axes: Axes, rows: list[Row]) -> None:
    """Scale the y axis: amounts from 0, mean ranks logarithmic where they span more than a factor of ten."""
    metric = rows[0]["metric"]
    highs = [row["ci_high"] or row["value"] for row in rows]
    if metric == "base_rank":
        if max(highs) > 10 * min(row["value"] for row in rows):
            axes.set_yscale("log", subs=())
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
        axes.set_ylim(bottom=1 if axes.get_yscale() == "log" else min(1, axes.get_ylim()[0]))
    elif metric in ("base_prob", "unshifted"):
        axes.margins(y=0.15)
    else:
        axes.set_ylim(0, max(max(highs) * 1.12, 1e-6))
    if metric in CLASS_RANKS:
        axes.yaxis.set_major_formatter(percent)


def _name_sizes(axes: Axes, positions: Positions) -> None:
    """Label the x axis: sizes at the ticks, and each dataset below the middle of its sizes."""
    ticks = {x: size_label(size) for sizes in positions.values() for size, x in sizes.items()}
    axes.set_xticks(list(ticks), list(ticks.values()), fontsize=SMALL + 0.5)
    axes.set_xlim(-GAP / 2, max(_extent(*sizes)[1] for sizes in positions.items()) + GAP / 2)
    below: dict[str, Any] = {"xytext": (0, -18), "textcoords": "offset points", "xycoords": ("data", "axes fraction")}
    look: dict[str, Any] = {
        "ha": "center",
        "va": "top",
        "fontsize": SMALL + 0.5,
        "color": INK,
        "annotation_clip": False,
    }
    for dataset, sizes in positions.items():
        middle = (min(sizes.values()) + max(sizes.values())) / 2
        axes.annotate("\n".join(_name_lines(dataset)), (middle, 0), **below, **look)
