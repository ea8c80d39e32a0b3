"""Instruction-tuning data: cleaned, counted, and put in the order that makes subsets nested."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.core.schemas import INSTANCES
from closerlook.data.formats import MalformedError, read_turn
from closerlook.data.sources import Rows, Source, describe, provenance, read_rows
from closerlook.data.tally import Tally

REASONS = ("malformed", "empty_instruction", "empty_response", "duplicate")


def instance_id(instruction: str, response: str) -> str:
    """16 hex digits that follow from the two texts alone; the length keeps ("a", "bc") and ("ab", "c") apart."""
    return hashlib.sha256(f"{len(instruction)}:{instruction}{response}".encode()).hexdigest()[:16]


def prepare_dataset(source: Source, format_: str, name: str, seed: int) -> tuple[pa.Table, dict[str, Any], str]:
    """Read, clean and order a dataset. Returns the table (schema INSTANCES), its report and a one-line summary.

    Outer white space is stripped. Dropped and counted: rows that are malformed, have an empty instruction or response, or
    repeat an earlier row's instruction and response. Raises CloserlookError when no row is left.
    """
    table, tally = clean(tqdm(read_rows(source), desc=name, unit=" rows"), format_, name)
    if not tally.kept:
        raise CloserlookError(f"{describe(source)}, read as {format_}: no row left: {tally}")
    table = table.take(nested_order(table["id"].to_pylist(), seed))
    report = {
        "source": provenance(source),
        "format": format_,
        "seed": seed,
        **tally.report(),
        "sha256": fingerprint(table),
    }
    return table, report, str(tally)


def clean(rows: Rows, format_: str, name: str) -> tuple[pa.Table, Tally]:
    """Rows of a source as a table of schema INSTANCES, in the source's order, and the count of what was dropped."""
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
    """Positions of `ids` in a shuffled order that depends on each id and the seed alone, not on the source's order.

    So a subset is the first rows, 1k lies inside 10k inside 25k, and a row added to the source moves no other.
    """
    return sorted(range(len(ids)), key=lambda i: hashlib.sha256(f"{seed}:{ids[i]}".encode()).digest())


def fingerprint(table: pa.Table) -> str:
    """SHA-256 of the ids in order: equal for equal content, whatever the parquet library's version."""
    return hashlib.sha256("\n".join(table["id"].to_pylist()).encode()).hexdigest()


def read_as(schema: pa.Schema, path: Path) -> pa.Table:
    """Read a parquet file this stage wrote. Raises CloserlookError when its columns are not those of `schema`."""
    table = read_parquet(path)
    if table.schema.names != schema.names:
        found, expected = ", ".join(table.schema.names), ", ".join(schema.names)
        raise CloserlookError(f"{path}: found columns {found}; expected {expected}")
    return table


def subset(path: Path, size: int) -> pa.Table:
    """The first `size` rows of a prepared dataset. Raises CloserlookError when it has fewer."""
    table = read_as(INSTANCES, path)
    if not 0 < size <= table.num_rows:
        raise CloserlookError(
            f"{path}: size {size:,} asked for, expected 1 to {table.num_rows:,}, the rows left after cleaning"
        )
    return table.slice(0, size)
