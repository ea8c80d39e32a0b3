"""Read evaluation instructions (just-eval-instruct, MedInstruct-test or your own) and count dropped rows."""

from typing import Any

import pyarrow as pa

from closerlook.config.source_files import RowSource
from closerlook.core.errors import CloserlookError
from closerlook.core.schemas import EVALSET
from closerlook.data.formats import MalformedError, text_field
from closerlook.data.sources import Rows, describe, provenance, read_rows
from closerlook.data.tally import Tally

REASONS = ("outside_rows", "over_limit", "malformed", "empty_instruction", "duplicate_id")
_REFERENCES = ("reference", "gpt-4-answer")  # gpt-4-answer: MedInstruct-test on the hub


def prepare_evalset(
    source: RowSource, name: str, rows: tuple[int, int] | None = None, limit: int | None = None
) -> tuple[pa.Table, dict[str, Any], str]:
    """Read an evalset. Returns the table (schema EVALSET), its report and a one-line summary.

    rows: range [first, last) of the source's rows to use, 0-based. limit: maximum number of instructions. Records must have
    `instruction`; `id`, `task_types`, `topics` and `reference` are optional. Repeated instructions are kept and noted. Raises
    CloserlookError if `rows` exceeds the source or no instruction is left.
    """
    if rows and not 0 <= rows[0] < rows[1]:
        raise CloserlookError(f"rows: found {list(rows)}, expected [first, last) with 0 <= first < last")
    if limit is not None and limit < 1:
        raise CloserlookError(f"limit: found {limit}, expected at least 1")
    questions, tally = clean(read_rows(source), name, rows, limit)
    if rows and tally.read < rows[1]:
        raise CloserlookError(f"{describe(source)}: expected rows {list(rows)}, found {tally.read:,} rows")
    if not questions:
        raise CloserlookError(f"{describe(source)}: no instruction left: {tally}")
    table = pa.Table.from_pylist(questions, schema=EVALSET)
    selection = {"rows": rows and list(rows), "limit": limit}
    return table, {"source": provenance(source), **selection, **tally.report()}, str(tally)


def clean(
    records: Rows, name: str, rows: tuple[int, int] | None, limit: int | None
) -> tuple[list[dict[str, Any]], Tally]:
    """The questions of a source, in its order, and the counts of kept and dropped rows."""
    tally, ids, instructions = Tally(REASONS), set(), set()
    questions: list[dict[str, Any]] = []
    for position, (row, record) in enumerate(records):
        if rows and not rows[0] <= position < rows[1]:
            tally.drop("outside_rows", row)
            continue
        try:
            question = _question(record, row)
        except MalformedError as error:
            tally.drop("malformed", row, str(error))
            continue
        if not question["instruction"]:
            tally.drop("empty_instruction", row)
        elif question["id"] in ids:
            tally.drop("duplicate_id", row)
        elif limit is not None and tally.kept >= limit:
            tally.drop("over_limit", row)
        else:
            tally.keep(row, ("duplicate_instruction",) if question["instruction"] in instructions else ())
            ids.add(question["id"])
            instructions.add(question["instruction"])
            questions.append(question | {"source": name})
    return questions, tally


def _question(record: Any, row: int) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise MalformedError("not an object" if record is not None else "does not parse")
    reference = next((text_field(record, key) for key in _REFERENCES if record.get(key) is not None), "").strip()
    return {
        "id": _id(record.get("id"), row),
        "instruction": text_field(record, "instruction").strip(),
        "task_types": _texts(record, "task_types"),
        "topics": _texts(record, "topics"),
        "reference": reference or None,
    }


def _id(value: Any, row: int) -> str:
    if value is None:
        return str(row)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise MalformedError(f"id: found {type(value).__name__}, expected text or a whole number")
    return text_field({"id": str(value)}, "id").strip()


def _texts(record: dict[str, Any], key: str) -> list[str]:
    values = record.get(key)
    if values is None:
        return []
    if not isinstance(values, list):
        raise MalformedError(f"{key}: found {type(values).__name__}, expected a list of texts")
    return [text_field({key: value}, key) for value in values]
