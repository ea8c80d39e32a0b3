"""Rows of tables, selected, grouped and labeled for figures."""

from typing import Any, NamedTuple

from closerlook.core.grouping import grouped
from closerlook.report.figures.style import drawable, method_colors
from closerlook.report.tables.pooling import is_mean
from closerlook.report.tables.registry import IDENTITY
from closerlook.text.escape import visible

Row = dict[str, Any]
Key = tuple[str, ...]


class CellStyle(NamedTuple):
    """How a cell is named, and the color of its method."""

    label: str
    color: str


Styles = dict[Key, CellStyle]
"""By the cell's IDENTITY."""


def where(rows: list[Row], **values: str) -> list[Row]:
    """The rows whose columns have these values."""
    return [row for row in rows if all(row[column] == value for column, value in values.items())]


def measured(rows: list[Row]) -> list[Row]:
    """The rows that have a value."""
    return [row for row in rows if row["value"] is not None]


def distinct(rows: list[Row], column: str) -> list[str]:
    """The distinct values of a column, in the rows' order."""
    return list(dict.fromkeys(row[column] for row in rows))


def group_by(rows: list[Row], *columns: str) -> dict[Key, list[Row]]:
    """The rows grouped by the values of some columns, in the rows' order. Without rows: one empty group."""
    return grouped(rows, columns) or {("",) * len(columns): []}


def cells_of(rows: list[Row]) -> dict[Key, list[Row]]:
    """The rows of each cell, by the cell's IDENTITY."""
    return grouped(rows, IDENTITY)


def cell_of(row: Row) -> Key:
    """The IDENTITY of the row's cell."""
    return tuple(row[name] for name in IDENTITY)


def by_metric(rows: list[Row]) -> dict[str, Row]:
    """The rows by metric, which is unique among them."""
    return {row["metric"]: row for row in rows}


def plain(text: str, longest: int = 18, space: str = " ") -> str:
    """`text` on one line, in glyphs that the font has, at most `longest` characters. `space` replaces each space."""
    text = drawable(visible(text, space))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def size_label(size: str) -> str:
    """1000 as 1k, to three digits; the empty size as `all`."""
    if not size:
        return "all"
    number = int(size)
    return f"{float(f'{number / 1000:.3g}'):g}k" if number >= 1000 else str(number)


def dataset_label(row: Row) -> str:
    """The row's dataset@size, as in the names of cells."""
    if not row["dataset"]:
        return "no tuning data"
    return plain(row["dataset"]) + (f"@{size_label(row['size'])}" if row["size"] else "")


def seed_label(row: Row) -> str:
    """The row's seed, or of how many trainings it is a mean."""
    return str(row["seed"]) if is_mean(row) else f"seed {row['seed']}"


def differing(groups: dict[Key, list[Row]], key: Key) -> Key:
    """`key`, with an empty string for each column in which all groups agree."""
    columns = zip(*groups, strict=True)
    return tuple(value if len(set(column)) > 1 else "" for value, column in zip(key, columns, strict=True))


def cell_styles(rows: list[Row], given: Key = ()) -> Styles:
    """Labels and colors of the cells. A label has the method, dataset@size, and the other columns in which cells differ.

    A control has no seed in its label.

    given: columns that labels leave out.
    """
    colors = method_colors(distinct(rows, "method"))
    varying = [name for name in ("model", "seed", "evalset") if name not in given and len(distinct(rows, name)) > 1]
    styles = {}
    for row in rows:
        parts = [plain(row["method"])] if "method" not in given else []
        parts += [dataset_label(row)] if row["dataset"] and "dataset" not in given else []
        parts += [
            seed_label(row) if name == "seed" else plain(row[name])
            for name in varying
            if row[name] and (name != "seed" or row["dataset"])
        ]
        styles[cell_of(row)] = CellStyle(" · ".join(parts), colors[row["method"]])
    return styles


def missing_labels(rows: list[Row]) -> list[str]:
    """Labels of the cells that have no value."""
    present = cells_of(measured(rows))
    return [style.label for cell, style in cell_styles(rows).items() if cell not in present]
