"""Instruction-tuning data: read, clean, count, and order so that subsets are nested."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from closerlook.config.source_files import RowSource
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.core.schemas import INSTANCES
from closerlook.data.formats import MalformedError, read_turn
from closerlook.data.sources import Rows, describe, provenance, read_rows
from closerlook.data.tally import Tally

REASONS = ("malformed", "empty_instruction", "empty_response", "duplicate")


def instance_id(instruction: str, response: str) -> str:
    """16 hex digits that depend only on the two texts. The length distinguishes ("a", "bc") from ("ab", "c")."""
    return hashlib.sha256(f"{len(instruction)}:{instruction}{response}".encode()).hexdigest()[:16]


def prepare_dataset(source: RowSource, format_: str, name: str, seed: int) -> tuple[pa.Table, dict[str, Any], str]:
    """Read, clean and order a dataset. Returns the table (schema INSTANCES), its report and a one-line summary.

    Surrounding whitespace is removed. Rows that are malformed, have an empty instruction or response, or repeat an earlier
    instruction and response are dropped and counted. Raises CloserlookError if no row is left.
    """
    table, tally = clean(tqdm(read_rows(source), desc=name, unit=" rows"), format_, name)
    if not tally.kept:
        raise CloserlookError(f"{describe(source)}, read as {format_}: no usable row: {tally}")
    table = table.take(nested_order(table["id"].to_pylist(), seed))
    facts = {"source": provenance(source), "format": format_, "seed": seed, "sha256": ids_digest(table)}
    return table, facts | tally.report(), str(tally)


def clean(rows: Rows, format_: str, name: str) -> tuple[pa.Table, Tally]:
    """Rows of a source as a table of schema INSTANCES, in its order, and the counts of kept and dropped rows."""
    columns: dict[str, list[Any]] = {column: [] for column in INSTANCES.names}
    tally, seen = Tally(REASONS), set()
    for row, record in rows:
        try:
            turn = read_turn(record, format_)
        except MalformedError as error:
            tally.drop("malformed", row, str(error))
            continue
        id_ = instance_id(turn.instruction, turn.response)
        if not turn.instruction:
            tally.drop("empty_instruction", row)
        elif not turn.response:
            tally.drop("empty_response", row)
        elif id_ in seen:
            tally.drop("duplicate", row)
        else:
            seen.add(id_)
            tally.keep(row, turn.notes)
            for column, value in zip(columns.values(), (id_, turn.instruction, turn.response, name, row), strict=True):
                column.append(value)
    return pa.table(columns, schema=INSTANCES), tally


def nested_order(ids: list[str], seed: int) -> list[int]:
    """Indices of `ids` in a random order that depends only on the ids and the seed.

    A subset is the first rows, so 1k is part of 10k. A row added to the source does not change the order of the others.
    """
    return sorted(range(len(ids)), key=lambda i: hashlib.sha256(f"{seed}:{ids[i]}".encode()).digest())


def ids_digest(table: pa.Table) -> str:
    """SHA-256 of the ids in order, which does not depend on the version of the parquet library."""
    return hashlib.sha256("\n".join(table["id"].to_pylist()).encode()).hexdigest()


def read_as(schema: pa.Schema, path: Path) -> pa.Table:
    """Read a parquet file. Raises CloserlookError if its columns are not those of `schema`."""
    table = read_parquet(path)
    if table.schema.names != schema.names:
        found, expected = ", ".join(table.schema.names), ", ".join(schema.names)
        raise CloserlookError(f"{path}: found columns {found}; expected {expected}")
    return table


def subset(path: Path, size: int, seed: int | None = None) -> pa.Table:
    """The first `size` rows of a prepared dataset; with a seed, in another order than its own.

    Raises CloserlookError if the dataset has fewer rows.
    """
    table = read_as(INSTANCES, path)
    if not 0 < size <= table.num_rows:
        raise CloserlookError(
            f"{path}: found size {size:,}, expected 1 to {table.num_rows:,}, the number of rows after cleaning"
        )
    if seed is not None:
        table = table.take(nested_order(table["id"].to_pylist(), seed))
    return table.slice(0, size)
