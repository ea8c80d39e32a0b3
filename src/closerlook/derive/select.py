"""Derive datasets from prepared ones: longest responses first, or filtered by a score; and report on any derived dataset."""

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from closerlook.config.derived import DerivedSource, ScoredSource
from closerlook.config.settings import FileSource
from closerlook.config.source_files import RowSource
from closerlook.core.errors import CloserlookError
from closerlook.data.sources import describe, read_rows
from closerlook.data.tally import Tally


def sort_by_length(instances: pa.Table) -> tuple[pa.Table, Tally]:
    """All instances, the longest responses (in characters) first. Equally long ones stay in the dataset's order.

    A subset is the longest instances (Zhao et al. 2024, "Long Is More for Alignment", use the longest 1,000).
    """
    lengths = np.array([len(text) for text in instances["response"].to_pylist()])
    tally = Tally(())
    for row in instances["row"].to_pylist():
        tally.keep(row)
    return instances.take(pa.array(np.argsort(-lengths, kind="stable"))), tally


def filter_by_score(instances: pa.Table, scores: list[Any], minimum: float) -> tuple[pa.Table, Tally]:
    """The instances with a score of at least `minimum`, in their order (AlpaGasus; Chen et al. 2023).

    scores: of each instance, a number or its text. Other values are counted as no_score.
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


def read_scores(instances: pa.Table, transform: ScoredSource, source: RowSource | None) -> list[Any]:
    """The score of each instance, from the transform's file or a column of the dataset's source."""
    if transform.scores:
        return _read_scores_of_file(instances, Path(transform.scores), transform.column, transform.aspect)
    if source is None:
        raise CloserlookError("minimum_score: needs `scores`, or the source that the dataset was read from")
    return _read_scores_of_column(instances, source, transform.column)


def _read_scores_of_column(instances: pa.Table, source: RowSource, column: str) -> list[Any]:
    """The values of a column of the source, by the instances' rows. Raises CloserlookError if it has no such column."""
    rows = {
        row: record.get(column) for row, record in read_rows(source) if isinstance(record, dict) and column in record
    }
    if not rows:
        raise CloserlookError(f"{describe(source)}: has no column {column}, which minimum_score needs")
    return [rows.get(row) for row in instances["row"].to_pylist()]


def _read_scores_of_file(instances: pa.Table, file: Path, column: str, aspect: str | None) -> list[Any]:
    """Scores by instance id from a file (.parquet, .jsonl, .json, .csv), for verdicts those on `aspect`.

    Raises CloserlookError if an id has two scores or if no instance has one.
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
        raise CloserlookError(f"{file}: scores none of the {len(ids):,} instances; expected the ids of the dataset")
    return [scores.get(id_) for id_ in ids]


def responses_digest(table: pa.Table) -> str:
    """SHA-256 of ids and responses in order. Ids are not enough, since a simplified instance keeps its original's id."""
    digest = hashlib.sha256()
    for id_, response in zip(table["id"].to_pylist(), table["response"].to_pylist(), strict=True):
        digest.update(f"{id_}{len(response)}:{response}".encode())
    return digest.hexdigest()


def finish_dataset(
    before: pa.Table, after: pa.Table, tally: Tally, name: str, transform: DerivedSource
) -> tuple[pa.Table, dict[str, Any]]:
    """The instances with the new dataset's name as source, and the report: settings, row counts, mean characters of responses.

    Raises CloserlookError if no instance is left.
    """
    if not after.num_rows:
        raise CloserlookError(f"{name}: no instance of {transform.of} is left: {tally}")
    column = after.schema.get_field_index("source")
    table = after.set_column(column, after.field("source"), pa.array([name] * after.num_rows, pa.string()))
    transformed = transform.model_dump(exclude_none=True)
    for key in ("scores", "prompt_file"):  # without folders, so that reports do not depend on where files are
        for settings in (transformed, transformed.get("simplify", {})):
            if key in settings:
                settings[key] = Path(settings[key]).name
    lengths = {"characters_before": _mean_characters(before), "characters_after": _mean_characters(table)}
    return table, {"transform": transformed, **tally.report(), **lengths, "sha256": responses_digest(table)}


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
