"""What several figures share: cells as lines of text, whiskers, and a note on what is not there to draw."""

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from closerlook.report.figures.style import MUTED, drawable
from closerlook.report.tables.registry import IDENTITY
from closerlook.text.escape import visible

Row = dict[str, Any]
SMALL = 7.5
NAMED = 4
TALL = 40
"""Lines of a panel whose foot one does not see from its head."""
HEAD, FOOT = 0.32, 0.22
"""Inches above and below the panels."""


def canvas(width: float, height: float) -> Figure:
    """An empty figure, in inches, that keeps room for a legend at its head and a note at its foot."""
    rect = (0, FOOT / height, 1, 1 - (HEAD + FOOT) / height)
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(rect=rect, w_pad=0.1, h_pad=0.08))


def by_evalset(rows: list[Row], labels: Iterable[str], line: float) -> tuple[Figure, list[tuple[Axes, list[Row]]]]:
    """A figure of a panel per evalset, one below the other, and with each the rows that it has values of.

    labels: of the cells, which are a panel's lines. line: inches of one.
    """
    evalsets = [name for (name,) in distinct(rows, "evalset")] or [""]
    shown = [measured(where(rows, evalset=evalset)) for evalset in evalsets]
    heights = [0.6 + line * max(3, len(distinct(some, *IDENTITY))) for some in shown]
    figure = canvas(4.4 + room(labels), 0.7 + sum(heights))
    panels = figure.subplots(len(evalsets), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axes, evalset in zip(panels, evalsets, strict=True):
        axes.set_title(plain(evalset) if len(evalsets) > 1 else "")
    return figure, list(zip(panels, shown, strict=True))


def room(labels: Iterable[str]) -> float:
    """Inches that the longest of these takes beside an axis."""
    return 0.085 * max(map(len, labels), default=0)


def legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend in one line at the figure's head."""
    figure.legend(
        handles=handles, loc="upper left", ncols=max(1, len(handles)), bbox_to_anchor=(0.0, 1.0), handlelength=1.4
    )


def percent(value: float, _: float = 0) -> str:
    """A share as an axis writes it."""
    return f"{round(100 * value, 6):g}%"


def plain(text: str, longest: int = 18, space: str = " ") -> str:
    """A name as it can be drawn: one line, in glyphs the font has, cut where it is long. `space` stands for a space."""
    text = drawable(visible(text, space))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def size_label(size: str) -> str:
    """1000 as 1k, to three digits; a dataset without a size is all of it."""
    if not size:
        return "all"
    number = int(size)
    return f"{float(f'{number / 1000:.3g}'):g}k" if number >= 1000 else str(number)


def dataset_label(row: Row) -> str:
    """dataset@size, as cells are named."""
    return (
        plain(row["dataset"]) + (f"@{size_label(row['size'])}" if row["size"] else "")
        if row["dataset"]
        else "no tuning data"
    )


def distinct(rows: list[Row], *columns: str) -> list[tuple[str, ...]]:
    """The distinct values of some columns, in the rows' order."""
    return list(dict.fromkeys(tuple(row[column] for column in columns) for row in rows))


def where(rows: list[Row], **wanted: str) -> list[Row]:
    """The rows whose columns have these values."""
    return [row for row in rows if all(row[column] == value for column, value in wanted.items())]


def cell_of(row: Row) -> tuple[str, ...]:
    """Whose value it is, as a key."""
    return tuple(row[name] for name in IDENTITY)


def of_cell(rows: list[Row], cell: tuple[str, ...]) -> list[Row]:
    """The rows of one cell."""
    return [row for row in rows if cell_of(row) == cell]


def measured(rows: list[Row]) -> list[Row]:
    """The rows that have a value."""
    return [row for row in rows if row["value"] is not None]


def whiskers(*rows: Row) -> list[list[float]]:
    """Distances from the values to their intervals' ends, as errorbar takes them; 0 where there is no interval.

    A percentile interval need not hold the value: then that side has no length.
    """
    lows, highs = (
        [row[end] if row[end] is not None else row["value"] for row in rows] for end in ("ci_low", "ci_high")
    )
    values = [row["value"] for row in rows]
    return [
        [max(0.0, value - low) for value, low in zip(values, lows, strict=True)],
        [max(0.0, high - value) for value, high in zip(values, highs, strict=True)],
    ]


def cell_labels(rows: list[Row], given: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """A name for each cell (its identity): method, dataset@size, and what else tells cells apart that `given` does not."""
    varying = [name for name in ("model", "seed", "evalset") if name not in given and len(distinct(rows, name)) > 1]
    labels = {}
    for row in rows:
        parts = [plain(row["method"])] if "method" not in given else []
        parts += [dataset_label(row)] if row["dataset"] and "dataset" not in given else []
        parts += [f"seed {row['seed']}" if name == "seed" else plain(row[name]) for name in varying if row[name]]
        labels[cell_of(row)] = " · ".join(parts)
    return labels


def note_missing(figure: Figure, rows: list[Row], more: str = "") -> None:
    """Name the cells that have nothing to draw, at the figure's foot, and say what `more` there is to say."""
    there = set(map(cell_of, measured(rows)))
    labels = cell_labels(rows)
    absent = [label for identity, label in labels.items() if identity not in there]
    notes = [more] if more else []
    if absent:
        rest = f" and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
        notes.append(f"Not drawn, no data: {', '.join(absent[:NAMED])}{rest}")
    figure.text(
        0.01, 0.05 / figure.get_figheight(), ". ".join(notes), fontsize=SMALL, color=MUTED, ha="left", va="bottom"
    )


def lines(axes: Axes, names: Sequence[str], quantity: str = "") -> None:
    """Make a panel one of a line per name, from the top down at y = 0, 1, ..., with a quantity on its x axis.

    Where there are many, the numbers stand above them too.
    """
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.yaxis.grid(False)
    axes.set_xlabel(quantity)
    axes.tick_params(axis="x", labelbottom=True, labeltop=len(names) > TALL)


def say_empty(axes: Axes, why: str = "no data") -> None:
    """A panel that has nothing to draw says so."""
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color=MUTED)
    axes.set_axis_off()
