"""Figures drawn from tables that a test makes up."""

import warnings
from pathlib import Path

import matplotlib

from closerlook.core.files import write_csv
from closerlook.report.figures.drawing import DRAW
from closerlook.report.figures.registry import FIGURES
from closerlook.report.figures.style import STYLE, save
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from tests.support.table_rows import Cells, rows_of


def draw(name: str, results: Path, cells: Cells, absent: Cells = (), out: str = "f") -> Path:
    figure = FIGURES[name]
    tables = []
    for needed in figure.tables:
        path = results / "tables" / f"{needed}.csv"
        write_csv(rows_of(needed, cells, absent), TABLES[needed].columns, path)
        tables.append(read_csv(path, TABLES[needed]))
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph the font lacks, a layout that does not fit
        save(DRAW[name](*tables), results / f"{out}.svg")
    return results / f"{out}.svg"
