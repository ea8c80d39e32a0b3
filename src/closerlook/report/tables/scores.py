"""Judges' scores by aspect (Tables 13 to 15) and by type of task (Tables 16 and 17)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_by_id, read_parquet
from closerlook.judge.aspects import ASPECTS, SCORES
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import damaged, labeled
from closerlook.report.tables.selection import judged
from closerlook.report.tables.table import IDENTITY, Files, Measured, MeasuredOf, Part, Row, Table
from closerlook.report.tables.verdicts import Verdicts, aligned, read_verdicts, versions
from closerlook.stats.bootstrap import ratios
from closerlook.stats.length_control import LengthControl, control_length


def measure_aspects(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Mean score of each cell and aspect under both policies for N/A, length-controlled, nulls by cause; what length is worth.

    cells: all that one judge scored on one evalset, each with its verdicts and its responses.
    """
    judged_cells = [(read_verdicts(verdicts), _log_lengths(responses, verdicts)) for _, (verdicts, responses) in cells]
    controlled = _control_length(judged_cells)
    for number, ((cell, _), (verdicts, _)) in enumerate(zip(cells, judged_cells, strict=True)):
        plain, na_five = ratios(verdicts.scores, np.ones(1)), ratios(verdicts.na_five, np.ones(1))
        for column, aspect in enumerate(verdicts.aspects):
            keys = {"version": verdicts.version, "aspect": aspect}
            yield cell, keys, "score", plain[column]
            yield cell, keys, "score_na_five", na_five[column]
            yield cell, keys, "score_length_controlled", controlled[aspect].cells[number]
            for name, count in verdicts.nulls(np.s_[:, column]).items():
                yield cell, keys, name, count
    of_no_cell = dict.fromkeys(("model", "dataset", "size", "method", "seed"), "")
    version = versions(*(verdicts for verdicts, _ in judged_cells))
    for aspect, control in controlled.items():
        yield cells[-1][0], of_no_cell | {"version": version, "aspect": aspect}, "length_slope", control.slope


def _control_length(cells: list[tuple[Verdicts, np.ndarray]]) -> dict[str, LengthControl]:
    """By aspect, the length-controlled score of each cell and the slope, from verdicts and log lengths."""
    lengths = aligned([(verdicts.ids, log_lengths) for verdicts, log_lengths in cells])
    controlled: dict[str, LengthControl] = {}
    for aspect in dict.fromkeys(aspect for verdicts, _ in cells for aspect in verdicts.aspects):
        scores = aligned(
            [
                verdicts.aspect(aspect) if aspect in verdicts.aspects else (verdicts.ids, np.full(len(each), np.nan))
                for verdicts, each in cells
            ]
        )
        controlled[aspect] = control_length(scores, lengths, (min(SCORES), max(SCORES)))
    return controlled


def _log_lengths(responses: Path, verdicts: Path) -> np.ndarray:
    """log2(1 + characters) of the responses, in the verdicts' order. Not tokens, which differ between models."""
    table = read_parquet(responses, columns=["id", "text"])
    length_of = dict(zip(table["id"].to_pylist(), pc.utf8_length(table["text"]).to_pylist(), strict=True))
    ids = read_verdicts(verdicts).ids
    if set(ids) != set(length_of):
        id_ = min(set(ids) ^ set(length_of))
        absent = "no response" if id_ in ids else "no verdict"
        raise damaged(verdicts, f"judges others than {responses}: {absent} of id {id_}")
    return np.log2(1 + np.array([length_of[id_] for id_ in ids], dtype=np.float64))


def measure_tasks(verdicts: Path, evalset: Path) -> Iterator[Measured]:
    """Mean score of the responses to each type of task: mean over a response's scored aspects, and helpfulness alone."""
    judged = read_verdicts(verdicts)
    types_of = read_by_id(evalset, "task_types")
    unknown = [id_ for id_ in judged.ids if id_ not in types_of]
    if unknown:
        raise CloserlookError(f"{verdicts}: response {unknown[0]} answers no question of {evalset}; run both again")
    types = [set(types_of[id_] or ["untyped"]) for id_ in judged.ids]
    for task_type in sorted({name for names in types for name in names}):
        rows = np.array([task_type in names for names in types])
        for aspect, columns in _conventions(judged):
            keys = {"version": judged.version, "aspect": aspect, "task_type": task_type}
            chosen = np.ix_(np.flatnonzero(rows), np.array(columns))
            for name, scores in (("score", judged.scores), ("score_na_five", judged.na_five)):
                scored = np.isfinite(scores[chosen])
                means = np.where(scored, scores[chosen], 0.0).sum(axis=1) / np.maximum(scored.sum(axis=1), 1)
                yield keys, name, ratios(means[:, None], scored.any(axis=1)[:, None])[0]
            yield from labeled(keys, judged.nulls(chosen))


def _conventions(judged: Verdicts) -> list[tuple[str, list[int]]]:
    """The aspects whose mean is a response's score: all, as in the paper; helpfulness, as in just-eval's script."""
    helpfulness = [("helpfulness", [judged.aspects.index("helpfulness")])] if "helpfulness" in judged.aspects else []
    return [("mean", list(range(len(judged.aspects)))), *helpfulness]


_NULLS = tuple(metrics.NULLS)
_BY_CAUSE = {"Verdicts without a score, by cause": _NULLS}


SCORES_BY_ASPECT = Table(
    name="scores_by_aspect",
    title="Judges' scores by aspect",
    caption=(
        "One row per cell and judge: mean score of each aspect, from 1 (worst) to 5 (best), as in Tables 13 to 15 of "
        "the paper. Only scores of the same judge and version can be compared."
    ),
    metrics=metrics.SCORES | metrics.LENGTH_CONTROLLED | metrics.NULLS,
    keys=("judge", "version", "aspect"),
    spread=("aspect",),
    sections={
        "Score": ("score",),
        "Score, N/A counted as 5": ("score_na_five",),
        "Score, length-controlled": ("score_length_controlled",),
        "Score per doubling of the length, within cells": ("length_slope",),
    }
    | _BY_CAUSE,
    asks_for="judges",
    parts=(
        Part(
            (*IDENTITY, "judge"),
            (Files.VERDICTS, Files.RESPONSES),
            measure_aspects,
            ("score", "score_na_five", "score_length_controlled", *_NULLS),
            controls=True,
            keys={"aspect": ASPECTS},
            over=judged,
            together=("evalset", "judge"),
        ),
    ),
)


SCORES_BY_TASK = Table(
    name="scores_by_task",
    title="Judges' scores by task type",
    caption=(
        "One row per cell, judge and aspect: mean score, from 1 to 5, of the responses to each type of task (Tables 16 "
        "and 17 of the paper). The aspect mean is the paper's convention, the aspect helpfulness that of just-eval's "
        "script."
    ),
    metrics=metrics.SCORES | metrics.NULLS,
    keys=("judge", "version", "aspect", "task_type"),
    spread=("task_type",),
    sections={"Score": ("score",), "Score, N/A counted as 5": ("score_na_five",)} | _BY_CAUSE,
    asks_for="judges",
    parts=(
        Part(
            (*IDENTITY, "judge"),
            (Files.VERDICTS, Files.EVALSET),
            measure_tasks,
            ("score", "score_na_five", *_NULLS),
            controls=True,
            keys={"aspect": ("mean", "helpfulness")},
            over=judged,
        ),
    ),
)
