"""Tables in the terminal: headline metrics, one line per cell."""

import sys
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Drawing
from rich.text import Text

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.report.tables.pooling import summarized
from closerlook.report.tables.registry import TABLES, table_of
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import widen

LINES = 40
"""Of one table; more would push the next ones out of sight."""
WIDTH = 110  # characters, in a file or a log


def show_results(results: Path) -> None:
    """Print every table of a results folder, then the paths of its figures. Raises CloserlookError if there is no table."""
    paths = [path for name in TABLES if (path := results / layout.table(name)).is_file()]
    if not paths:
        raise CloserlookError(f"{results}: has no tables/*.csv; `snakemake` with this folder's preset makes them")
    for path in paths:
        show(path)
    figures = sorted((results / "figures").glob("*.png"))
    for heading, files in (("Tables", [path.with_suffix(".md") for path in paths]), ("Figures", figures)):
        if files:
            print(f"{heading}:", *files, sep="\n  ")


def show(path: Path) -> None:
    """Print a table's CSV: headline metrics, one line per cell. Raises CloserlookError for a file of no table."""
    table = table_of(path)
    rows = summarized(read_csv(path, table))
    wide = widen(rows, table, brief=True)
    cut = f"the first {LINES} of {len(wide.lines):,} lines; " if len(wide.lines) > LINES else ""
    note = Text(f"{cut}{wide.common}{'; ' if wide.common else ''}full table: {path}")
    drawing = Drawing(title=Text(table.title), caption=note, box=SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    for heading, align in zip(wide.header, wide.align, strict=True):
        drawing.add_column(
            Text(heading), justify="right" if align == "r" else "left", overflow="fold", no_wrap=align == "l"
        )
    for line in wide.lines[:LINES]:
        drawing.add_row(*(Text(cell) for cell in line))
    Console(width=None if sys.stdout.isatty() else WIDTH).print(drawing)
