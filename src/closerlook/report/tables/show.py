"""Tables in the terminal: headline metrics, one line per cell."""

import sys
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Drawing
from rich.text import Text

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.report.tables.pooling import summarized
from closerlook.report.tables.registry import TABLES, table_of
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import Wide, widen

LINES = 40
"""Of one table; more would push the next ones out of sight."""
WIDTH = 110  # characters, in a file or a log
LABEL, HEADING, GAP = 40, 14, 2
"""Characters of a label and of a number's heading, which continue on the next line if they are longer; between columns."""


def show_results(results: Path) -> None:
    """Print every table of a results folder, then where its files are. Raises CloserlookError if there is no table."""
    paths = [path for name in TABLES if (path := results / layout.table(name)).is_file()]
    if not paths:
        raise CloserlookError(f"{results}: has no tables/*.csv; `snakemake` with this folder's preset makes them")
    for path in paths:
        show(path)
    figures = sorted((results / "figures").glob("*.png"))
    for heading, files in (
        ("Tables", [path.with_suffix(".md") for path in paths]),
        ("Figures", figures),
        ("All of it, with the answers token by token, in a browser", list(results.glob(layout.PAGE))),
    ):
        if files:
            print(f"{heading}:", *files, sep="\n  ")


def show(path: Path) -> None:
    """Print a table's CSV: headline metrics, one line per cell. Raises CloserlookError for a file of no table."""
    table = table_of(path)
    wide = widen(summarized(read_csv(path, table)), table, brief=True)
    lines, width = wide.lines[:LINES], Console().width if sys.stdout.isatty() else WIDTH
    widths = [_width(*column) for column in zip(wide.header, wide.align, *lines, strict=True)]
    columns = _columns_that_fit(widths, wide, width)

    cut = f"the first {len(lines)} of {len(wide.lines):,} lines; " if len(wide.lines) > len(lines) else ""
    cut += f"{len(columns)} of {len(widths)} columns; " if len(columns) < len(widths) else ""
    note = Text(f"{cut}{wide.common}{'; ' if wide.common else ''}full table: {path.with_suffix('.md')}")
    drawing = Drawing(title=Text(table.title), caption=note, box=SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for column in columns:
        align = wide.align[column]
        drawing.add_column(
            Text(wide.header[column]),
            justify="right" if align == "r" else "left",
            overflow="fold",
            width=None if align == "p" else widths[column],
        )
    for line in lines:
        drawing.add_row(*(Text(line[column]) for column in columns))
    Console(width=max(width, _total(widths, columns))).print(drawing)


def _width(heading: str, align: str, *cells: str) -> int:
    """The width of a column: numbers are never broken."""
    longest = max(map(cell_len, cells), default=0)
    if align == "r":
        return max(longest, min(HEADING, max(map(cell_len, heading.split()))))
    return min(LABEL, max(longest, cell_len(heading)))


def _columns_that_fit(widths: list[int], wide: Wide, room: int) -> list[int]:
    """All labels and n, and as many of the other numbers, but at least one, as fit into `room` characters."""
    columns = list(range(len(widths)))
    numbers = [column for column in columns if wide.align[column] == "r" and wide.header[column] != "n"]
    while len(numbers) > 1 and _total(widths, columns) > room:
        columns.remove(numbers.pop())
    return columns


def _total(widths: list[int], columns: list[int]) -> int:
    return GAP + sum(widths[column] + GAP for column in columns)
