"""Figure 1: how far tuning moved the distributions, against the size of the dataset."""

from math import log10
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from closerlook.report.figures.common import (
    SMALL,
    Row,
    canvas,
    distinct,
    legend,
    measured,
    note_missing,
    percent,
    plain,
    say_empty,
    size_label,
    where,
    whiskers,
)
from closerlook.report.figures.style import INK, MARKERS, MUTED, colours

PANELS = (
    ("kl_base_tuned", "KL(base‖tuned) in nats"),
    ("base_prob", "base probability"),
    ("base_rank", "base rank (from 1)"),
    ("unshifted", "unshifted: rank 1"),
    ("marginal", "marginal: rank 2 or 3"),
    ("shifted", "shifted: rank above 3"),
)
"""Metrics, and their titles."""

STRETCH = 2.4  # width of a tenfold size, on the x axis
SIDE = 0.35  # to either side of a size, over which its models and methods are spread
GAP = 0.5  # between datasets
LETTER = 0.2  # of a dataset's name
WIDEST = 12  # letters in a line of a name
UNIT = 0.33  # inches

Places = dict[str, dict[str, float]]
"""Where each size of each dataset stands on the x axis."""


def draw(shift: list[Row]) -> Figure:
    """Six panels per evalset; in each a line per model, dataset, method and seed, with its interval."""
    evalsets = [name for (name,) in distinct(shift, "evalset")] or [""]
    places = _places(shift)
    width = UNIT * max((_ends(*one)[1] for one in places.items()), default=0)
    columns = 3 if width < 2.9 else 2 if width < 4.8 else 1
    lines = len(PANELS) // columns
    figure = canvas(max(9.6, 1.6 + width), 0.9 + (2.3 * lines + 0.2) * len(evalsets))
    for part, evalset in zip(figure.subfigures(len(evalsets), 1, squeeze=False)[:, 0], evalsets, strict=True):
        rows = where(shift, evalset=evalset)
        panels = part.subplots(lines, columns, sharex=True, squeeze=False)
        if len(evalsets) > 1:
            part.suptitle(plain(evalset), x=0.01, ha="left", fontsize=10, fontweight="bold")
        for axes, (metric, title) in zip(panels.flat, PANELS, strict=True):
            _panel(axes, measured(where(rows, metric=metric)), title, metric, places, shift)
        for axes in panels[-1] if places else ():
            _name_sizes(axes, places)
    _legend(figure, shift)
    note_missing(figure, where(shift, metric="kl_base_tuned"))
    return figure


def _places(rows: list[Row]) -> Places:
    """Datasets one after the other, sizes within one on a logarithmic scale; all of a dataset stands after its sizes."""
    places: Places = {}
    x = 0.0
    for (dataset,) in distinct(rows, "dataset"):
        sizes = sorted({row["size"] for row in where(rows, dataset=dataset)}, key=lambda size: int(size or 10**12))
        numbers = [int(size) for size in sizes if size]
        own = {str(n): STRETCH * log10(n / numbers[0]) for n in numbers}
        if "" in sizes:
            own[""] = max(own.values(), default=-STRETCH / 2) + STRETCH / 2
        left, right = _ends(dataset, own)
        places[dataset] = {size: place - left + x for size, place in own.items()}
        x += right - left + GAP
    return places


def _ends(dataset: str, sizes: dict[str, float]) -> tuple[float, float]:
    """From where to where a dataset reaches: its sizes, or its name below them."""
    low, high = min(sizes.values()), max(sizes.values())
    half = max(high - low + 2 * SIDE, LETTER * max(map(len, _name(dataset)))) / 2
    return (low + high) / 2 - half, (low + high) / 2 + half


def _name(dataset: str) -> list[str]:
    """A dataset's name in short lines."""
    return wrap(plain(dataset, 3 * WIDEST), WIDEST) or [""]


def _panel(axes: Axes, rows: list[Row], title: str, metric: str, places: Places, shift: list[Row]) -> None:
    axes.set_title(title)
    axes.xaxis.grid(False)
    if not rows:
        say_empty(axes)
        return
    kinds = distinct(shift, "model", "method")  # drawn side by side, so that none hides another
    models, colour = [name for (name,) in distinct(shift, "model")], colours(row["method"] for row in shift)
    for model, method, dataset, seed in distinct(rows, "model", "method", "dataset", "seed"):
        line = where(rows, model=model, method=method, dataset=dataset, seed=seed)
        line.sort(key=lambda row: places[dataset][row["size"]])
        aside = (kinds.index((model, method)) - (len(kinds) - 1) / 2) * min(0.14, 2 * SIDE / len(kinds))
        xs = [places[dataset][row["size"]] + aside for row in line]
        style: dict[str, Any] = {
            "color": colour[method],
            "marker": MARKERS[models.index(model) % len(MARKERS)],
            "markersize": 4.5,
        }
        values = [row["value"] for row in line]
        axes.plot(xs, values, linewidth=1.4, markeredgecolor="white", markeredgewidth=0.5, zorder=3, **style)
        axes.errorbar(xs, values, yerr=whiskers(*line), fmt="none", ecolor=colour[method], elinewidth=1.2, zorder=2)
        low, high = (
            [row[end] if row[end] is not None else row["value"] for row in line] for end in ("ci_low", "ci_high")
        )
        axes.fill_between(xs, low, high, color=colour[method], alpha=0.14, linewidth=0, zorder=1)
    for one in list(places.items())[1:]:
        axes.axvline(_ends(*one)[0] - GAP / 2, color="#eeeeee", linewidth=0.8, zorder=0)
    _scale(axes, rows, metric)


def _scale(axes: Axes, rows: list[Row], metric: str) -> None:
    """Amounts from 0, mean ranks on a logarithmic scale where they span more than a factor of ten."""
    values = [row["ci_high"] or row["value"] for row in rows]
    if metric == "base_rank":
        if max(values) > 10 * min(row["value"] for row in rows):
            axes.set_yscale("log", subs=())
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
        axes.set_ylim(bottom=1 if axes.get_yscale() == "log" else min(1, axes.get_ylim()[0]))
    elif metric in ("base_prob", "unshifted"):
        axes.margins(y=0.15)
    else:
        axes.set_ylim(0, max(max(values) * 1.12, 1e-6))
    if metric in ("unshifted", "marginal", "shifted"):
        axes.yaxis.set_major_formatter(percent)


def _name_sizes(axes: Axes, places: Places) -> None:
    """Sizes as ticks, and below them the datasets, each under the middle of its sizes."""
    ticks = [(x, size_label(size)) for sizes in places.values() for size, x in sizes.items()]
    axes.set_xticks([x for x, _ in ticks], [label for _, label in ticks], fontsize=SMALL + 0.5)
    axes.set_xlim(-GAP / 2, max(_ends(*one)[1] for one in places.items()) + GAP / 2)
    for dataset, sizes in places.items():
        middle = (min(sizes.values()) + max(sizes.values())) / 2
        axes.annotate(
            "\n".join(_name(dataset)),
            (middle, 0),
            xytext=(0, -18),
            textcoords="offset points",
            xycoords=("data", "axes fraction"),
            ha="center",
            va="top",
            fontsize=SMALL + 0.5,
            color=INK,
            annotation_clip=False,
        )


def _legend(figure: Figure, rows: list[Row]) -> None:
    colour = colours(row["method"] for row in rows)
    handles = [Line2D([], [], color=c, marker="o", markersize=4.5, label=plain(name)) for name, c in colour.items()]
    models = [name for (name,) in distinct(rows, "model")]
    if len(models) > 1:
        handles += [
            Line2D([], [], color=MUTED, marker=MARKERS[i % len(MARKERS)], linestyle="none", label=plain(name))
            for i, name in enumerate(models)
        ]
    legend(figure, handles)
