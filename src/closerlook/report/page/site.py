"""The contents of the overview and of the tables: which files of the grid exist, the claims, every table and figure."""

import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from closerlook.config.rows import GridRow
from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.report.figures.registry import FIGURES, Figure
from closerlook.report.page.reading import Folder
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import sections


def state(folder: Folder, row: GridRow) -> list[list[Any]]:
    """[stage, whether its file exists, the command that makes it] of every stage of a row."""
    return [
        [name, (folder.path / file).exists(), shlex.join(["snakemake", str(folder.path / file)])]
        for name, file in row.stages
    ]


def claims(folder: Folder) -> list[dict[str, str]]:
    """The rows of the claims table; empty without one."""
    header, rows = folder.csv(layout.table("claims")) or ([], [])
    return [dict(zip(header, row, strict=True)) for row in rows]


def tables(folder: Folder) -> Iterator[dict[str, Any]]:
    """Every table of the folder: name, title, caption, header and rows as in its CSV, and its wide form in sections.

    In the registry's order, then those that it does not have, without a wide form.
    """
    for name in _in_order(folder.names("tables", ".csv"), TABLES):
        content = folder.csv(layout.table(name))
        if content is not None:
            table = TABLES.get(name)
            title, caption = (table.title, table.description) if table else (name.replace("_", " "), "")
            header, rows = content
            wide = _wide(folder, name)
            yield {"name": name, "title": title, "caption": caption, "header": header, "rows": rows, "wide": wide}


def _in_order(names: list[str], registry: Iterable[str]) -> list[str]:
    """The names in the registry's order, then those that it does not have."""
    known = [name for name in registry if name in names]
    return known + [name for name in names if name not in known]


def _wide(folder: Folder, name: str) -> list[dict[str, Any]]:
    if name not in TABLES:
        return []
    file = layout.table(name)
    try:
        return [vars(wide) for wide in sections(read_csv(folder.path / file, TABLES[name]), TABLES[name])]
    except (CloserlookError, ValueError, KeyError, IndexError, TypeError) as error:
        folder.problems.append(f"{file}: {error or repr(error)}".replace(f"{folder.path}/", ""))
        return []


def figures(folder: Folder) -> list[dict[str, Any]]:
    """Every figure of the folder, ordered as `tables`: name, title, caption, and the tables that it is drawn from."""
    listed = []
    for name in _in_order(folder.names("figures", ".svg"), FIGURES):
        figure = FIGURES.get(name) or Figure(title=name.replace("_", " "), caption="", tables=())
        listed.append({"name": name, "title": figure.title, "caption": figure.caption, "tables": list(figure.tables)})
    return listed
