"""What the page's overview and its tables show: the grid's state by its files, the claims, every table and figure."""

import shlex
from collections.abc import Iterator
from typing import Any

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.report.figures.registry import FIGURES
from closerlook.report.page.reading import Folder
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.table import Row, judges_of
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import sections

CLAIMS = "tables/claims.csv"


def stages(row: Row) -> Iterator[tuple[str, str]]:
    """Name and file of every stage of a row of grid.csv, in the order they are made."""
    cell, evalset = str(row["cell"]), str(row["evalset"])
    if row["dataset"]:
        yield "train", layout.manifest(cell)
    yield "generate", layout.responses(cell, evalset)
    if row["dataset"]:
        yield "shift", layout.shift(cell, evalset)
    for judge in judges_of(row):
        yield f"judge {judge}", layout.verdicts(cell, evalset, judge)
    for marker in str(row.get("markers") or "").split():
        yield f"spans {marker}", layout.spans(cell, evalset, marker)
        if row.get("searched"):
            yield f"trace {marker}", layout.trace(cell, evalset, marker)
    if row.get("searched"):
        yield "words", layout.words(cell, evalset)
        yield "borrowing", layout.borrowing(cell, evalset)


def state(folder: Folder, row: Row) -> list[list[Any]]:
    """[stage, whether it is done, the command that makes it] of every stage of a row."""
    return [
        [name, (folder.path / file).exists(), shlex.join(["snakemake", str(folder.path / file)])]
        for name, file in stages(row)
    ]


def claims(folder: Folder) -> list[dict[str, str]]:
    """The rows of the claims table; none where it is not there."""
    header, rows = folder.csv(CLAIMS) or ([], [])
    return [dict(zip(header, row, strict=True)) for row in rows]


def tables(folder: Folder) -> Iterator[dict[str, Any]]:
    """Every table of the folder: name, title, caption, header and rows as in its CSV, and its wide form in sections.

    In the registry's order; then those that it does not know, which have no wide form.
    """
    there = folder.names("tables", ".csv")
    for name in [*(known for known in TABLES if known in there), *(other for other in there if other not in TABLES)]:
        read = folder.csv(f"tables/{name}.csv")
        if read is not None:
            table = TABLES.get(name)
            title, caption = (table.title, table.caption) if table else (name.replace("_", " "), "")
            facts = {"name": name, "title": title, "caption": caption, "header": read[0], "rows": read[1]}
            yield facts | {"wide": _wide(folder, name)}


def _wide(folder: Folder, name: str) -> list[dict[str, Any]]:
    if name not in TABLES:
        return []
    path = folder.path / "tables" / f"{name}.csv"
    try:
        return [vars(wide) for wide in sections(read_csv(path, TABLES[name]), TABLES[name])]
    except (CloserlookError, ValueError, KeyError, IndexError, TypeError) as error:
        folder.problems.append(f"tables/{name}.csv: {error or repr(error)}".replace(f"{folder.path}/", ""))
        return []


def figures(folder: Folder) -> list[dict[str, Any]]:
    """Every figure of the folder: name, title, caption, and the tables that it is drawn from; as `tables` is ordered."""
    there = folder.names("figures", ".svg")
    known = [
        {"name": name, "title": figure.title, "caption": figure.caption, "tables": list(figure.tables)}
        for name, figure in FIGURES.items()
        if name in there
    ]
    unknown = [
        {"name": name, "title": name.replace("_", " "), "caption": "", "tables": []}
        for name in there
        if name not in FIGURES
    ]
    return known + unknown
