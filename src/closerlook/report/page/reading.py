"""Reading a results folder that may be incomplete: missing files are None, and files that cannot be read are recorded."""

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet


class Folder:
    """A results folder. `problems`: the files that cannot be read, each with the reason."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []

    def parquet(self, file: str, schema: pa.Schema) -> pa.Table | None:
        """The columns of `schema`; None if there is no such file or it does not have them."""
        path = self.path / file
        if not path.is_file():
            return None
        try:
            return read_parquet(path).select(schema.names).cast(schema)
        except (CloserlookError, KeyError, ValueError, pa.ArrowException) as error:
            self.problems.append(f"{file}: {error}".replace(f"{self.path}/", ""))
            return None

    def csv(self, file: str) -> tuple[list[str], list[list[str]]] | None:
        """Header and rows of a CSV file; None if there is no such file or it has no header."""
        path = self.path / file
        if not path.is_file():
            return None
        try:
            with path.open(encoding="utf-8", errors="replace", newline="") as stream:
                header, *rows = list(csv.reader(stream))
        except (OSError, ValueError, csv.Error) as error:
            self.problems.append(f"{file}: cannot be read as CSV: {error}")
            return None
        return header, [(row + [""] * len(header))[: len(header)] for row in rows]

    def names(self, folder: str, suffix: str) -> list[str]:
        """The names of a folder's files with that suffix, without it, sorted."""
        return sorted(path.stem for path in (self.path / folder).glob(f"*{suffix}") if not path.name.startswith("."))


def by_id(table: pa.Table | None) -> dict[str, list[dict[str, Any]]]:
    """The rows of a table by its column `id`, in their order; empty for None."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_pylist() if table is not None else []:
        rows.setdefault(row["id"], []).append(row)
    return rows
