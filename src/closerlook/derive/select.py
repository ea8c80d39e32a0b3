"""Datasets made from a prepared dataset: the longest responses first, or those whose score is high enough."""

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from closerlook.config.derived import DerivedSource, ScoredSource
from closerlook.config.settings import FileSource
from closerlook.core.errors import CloserlookError
from closerlook.data.sources import Source, describe, read_rows
from closerlook.data.tally import Tally


def longest_first(instances: pa.Table) -> tuple[pa.Table, Tally]:
    """All instances, the longest responses (in characters) first, so that a subset is the longest and subsets stay nested.

    Equally long ones stay in the order of the dataset (Zhao et al. 2024, "Long Is More for Alignment", take the longest 1,000).
    """
    lengths = np.array([len(text) for text in instances["response"].to_pylist()])
    tally = Tally(())
    for row in instances["row"].to_pylist():
        tally.keep(row)
    return instances.take(pa.array(np.argsort(-lengths, kind="stable"))), tally


def with_score(instances: pa.Table, scores: list[Any], minimum: float) -> tuple[pa.Table, Tally]:
    """The instances whose score is at least `minimum`, in their order (AlpaGasus; Chen et al. 2023).

    scores: one per instance; a number, text that is one, or anything else, which is no score and counted as such.
    """
    tally, keep = Tally(("below_minimum_score", "no_score")), []
    for row, value in zip(instances["row"].to_pylist(), scores, strict=True):
        score = _number(value)
        keep.append(score is not None and score >= minimum)
        if keep[-1]:
            tally.keep(row)
        else:
            tally.drop("no_score" if score is None else "below_minimum_score", row)
    return instances.filter(pa.array(keep, pa.bool_())), tally


def scores_of(instances: pa.Table, transform: ScoredSource, source: Source | None) -> list[Any]:
    """The score of each instance: from the file that `transform` names, or from a column of the instances' source."""
    if transform.scores:
        return _scores_of_file(instances, Path(transform.scores), transform.column, transform.aspect)
    if source is None:
        raise CloserlookError("minimum_score: needs `scores`, or the source that the dataset was read from")
    return _scores_of_column(instances, source, transform.column)


def _scores_of_column(instances: pa.Table, source: Source, column: str) -> list[Any]:
    """The values that the source of the instances has in a column, found by their row. Raises CloserlookError if it has none."""
    rows = {
        row: record.get(column) for row, record in read_rows(source) if isinstance(record, dict) and column in record
    }
    if not rows:
        raise CloserlookError(f"{describe(source)}: has no column {column}, which minimum_score is to be compared with")
    return [rows.get(row) for row in instances["row"].to_pylist()]


def _scores_of_file(instances: pa.Table, file: Path, column: str, aspect: str | None) -> list[Any]:
    """The scores that a file (.parquet, .jsonl, .json, .csv) gives by instance id; of a judge's verdicts, those on `aspect`.

    Raises CloserlookError where an id has two scores, or no instance has any.
    """
    scores: dict[str, Any] = {}
    for row, record in read_rows(FileSource(file=str(file))):
        if not isinstance(record, dict) or "id" not in record or column not in record:
            raise CloserlookError(f"{file}: row {row}: expected the columns id and {column}")
        if aspect is not None and record.get("aspect") != aspect:
            continue
        if record["id"] in scores:
            raise CloserlookError(
                f"{file}: row {row}: a second score for id {record['id']}; verdicts on several aspects need `aspect`"
            )
        scores[record["id"]] = record[column]
    ids = instances["id"].to_pylist()
    if not set(ids) & set(scores):
        raise CloserlookError(
            f"{file}: scores none of the {len(ids):,} instances; its ids must be those of the dataset"
        )
    return [scores.get(id_) for id_ in ids]


def fingerprint(table: pa.Table) -> str:
    """SHA-256 of ids and responses in order: a simplified instance keeps the id of the one that it was made from."""
    digest = hashlib.sha256()
    for id_, response in zip(table["id"].to_pylist(), table["response"].to_pylist(), strict=True):
        digest.update(f"{id_}{len(response)}:{response}".encode())
    return digest.hexdigest()


def finish(
    before: pa.Table, after: pa.Table, tally: Tally, name: str, transform: DerivedSource
) -> tuple[pa.Table, dict[str, Any]]:
    """The instances under the new dataset's name, and the report: what was done, counts of rows, mean characters of responses.

    Raises CloserlookError when no instance is left.
    """
    if not after.num_rows:
        raise CloserlookError(f"{name}: no instance of {transform.of} left: {tally}")
    column = after.schema.get_field_index("source")
    table = after.set_column(column, after.field("source"), pa.array([name] * after.num_rows, pa.string()))
    done = transform.model_dump(exclude_none=True)
    for key in ("scores", "prompt_file"):  # files without their folders, so that reports from two places compare equal
        for settings in (done, done.get("simplify", {})):
            if key in settings:
                settings[key] = Path(settings[key]).name
    lengths = {"characters_before": _mean_characters(before), "characters_after": _mean_characters(table)}
    return table, {"transform": done, **tally.report(), **lengths, "sha256": fingerprint(table)}


def _mean_characters(table: pa.Table) -> float:
    return sum(len(text) for text in table["response"].to_pylist()) / table.num_rows


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
