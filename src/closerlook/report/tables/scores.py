"""What verdicts.parquet says in the mean: by aspect (Tables 13 to 15) and by type of task (Tables 16 and 17)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.judge.aspects import ASPECTS
from closerlook.report.tables import metrics
from closerlook.report.tables.selection import judged
from closerlook.report.tables.table import (
    EVALSET_FILE,
    IDENTITY,
    RESPONSES_FILE,
    VERDICTS_FILE,
    Measured,
    MeasuredOf,
    Part,
    Row,
    Table,
)
from closerlook.report.tables.verdicts import Verdicts, aligned, read_verdicts
from closerlook.stats.bootstrap import Estimate, ratios
from closerlook.stats.length_control import length_controlled


def measure_aspects(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Mean score of each cell and aspect under both policies for N/A, length-controlled, and its nulls by cause.

    cells: all that one judge scored on one evalset, each with its verdicts and its responses.
    """
    read = [(cell, read_verdicts(verdicts), _log_lengths(responses, verdicts)) for cell, (verdicts, responses) in cells]
    controlled = _controlled([(verdicts, lengths) for _, verdicts, lengths in read])
    for number, (cell, verdicts, _) in enumerate(read):
        ones = np.ones((len(verdicts.ids), 1))
        plain, na_five = ratios(verdicts.scores, ones), ratios(verdicts.na_five, ones)
        for column, aspect in enumerate(verdicts.aspects):
            keys = {"version": verdicts.version, "aspect": aspect}
            yield cell, keys, "score", plain[column]
            yield cell, keys, "score_na_five", na_five[column]
            yield cell, keys, "score_length_controlled", controlled[number, aspect]
            for name, count in verdicts.nulls(np.s_[:, column]):
                yield cell, keys, name, count


def _controlled(read: list[tuple[Verdicts, np.ndarray]]) -> dict[tuple[int, str], Estimate]:
    """The length-controlled score of each cell (its number) and aspect."""
    found: dict[tuple[int, str], Estimate] = {}
    for aspect in dict.fromkeys(aspect for verdicts, _ in read for aspect in verdicts.aspects):
        having = [number for number, (verdicts, _) in enumerate(read) if aspect in verdicts.aspects]
        scored = [(v.ids, v.scores[:, v.aspects.index(aspect)]) for v, _ in (read[number] for number in having)]
        lengths = [(v.ids, x) for v, x in (read[number] for number in having)]
        estimates = length_controlled(aligned(scored), aligned(lengths))
        found |= {(number, aspect): estimate for number, estimate in zip(having, estimates, strict=True)}
    return found


def _log_lengths(responses: Path, verdicts: Path) -> np.ndarray:
    """log(1 + characters) of the responses, in the verdicts' order. Characters: tokens of two models do not compare."""
    table = read_parquet(responses, columns=["id", "text"])
    length_of = dict(zip(table["id"].to_pylist(), pc.utf8_length(table["text"]).to_pylist(), strict=True))
    ids = read_verdicts(verdicts).ids
    if set(ids) != set(length_of):
        one = min(set(ids) ^ set(length_of))
        which = "no response" if one in ids else "no verdict"
        raise CloserlookError(
            f"{verdicts}: judges others than {responses}: {which} of id {one}; delete it and run again"
        )
    return np.log1p(np.array([length_of[id_] for id_ in ids], dtype=np.float64))


def measure_tasks(verdicts: Path, evalset: Path) -> Iterator[Measured]:
    """Mean score of the responses to each type of task: mean over a response's scored aspects, and helpfulness alone."""
    judged = read_verdicts(verdicts)
    asked = read_parquet(evalset, columns=["id", "task_types"])
    types_of = dict(zip(asked["id"].to_pylist(), asked["task_types"].to_pylist(), strict=True))
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
            for name, count in judged.nulls(chosen):
                yield keys, name, count


def _conventions(judged: Verdicts) -> list[tuple[str, list[int]]]:
    """The aspects that a response's score is the mean of: all, as in the paper; helpfulness, as in just-eval's script."""
    helpfulness = [judged.aspects.index("helpfulness")] if "helpfulness" in judged.aspects else []
    every = list(range(len(judged.aspects)))
    return [("mean", every), *([("helpfulness", helpfulness)] if helpfulness else [])]


_NULLS = tuple(metrics.NULLS)
_BY_CAUSE = {"Verdicts without a score, by cause": _NULLS}


SCORES_BY_ASPECT = Table(
    title="Judges' scores by aspect",
    caption=(
        "Mean score, 1 to 5, of each aspect (Tables 13 to 15). Verdicts without a score are left out of the mean and "
        "counted by cause. Where a judge says that an aspect does not apply (N/A), just-eval's scripts count a 5: that mean "
        "stands beside. Length-controlled: what the mean would be if the cell's responses were as long as those of all "
        "cells are on average (log characters; least squares with an intercept per cell and one slope per judge, evalset "
        "and aspect). Scores of different judges, or of two versions of one, do not compare."
    ),
    metrics=metrics.SCORES | metrics.LENGTH_CONTROLLED | metrics.NULLS,
    keys=("judge", "version", "aspect"),
    spread=("aspect",),
    sections={
        "Score": ("score",),
        "Score, N/A counted as 5": ("score_na_five",),
        "Score, length-controlled": ("score_length_controlled",),
    }
    | _BY_CAUSE,
    asks_for="judges",
    parts=(
        Part(
            (*IDENTITY, "judge"),
            (VERDICTS_FILE, RESPONSES_FILE),
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
    title="Judges' scores by task type",
    caption=(
        "Mean score, 1 to 5, of the responses to each type of task (Tables 16 and 17), in both conventions. Aspect mean, "
        "the paper's: a response's mean over the aspects that have a score. Aspect helpfulness, that of just-eval's "
        "script. An instruction of several types counts in each; one of none is untyped."
    ),
    metrics=metrics.SCORES | metrics.NULLS,
    keys=("judge", "version", "aspect", "task_type"),
    spread=("task_type",),
    sections={"Score": ("score",), "Score, N/A counted as 5": ("score_na_five",)} | _BY_CAUSE,
    asks_for="judges",
    parts=(
        Part(
            (*IDENTITY, "judge"),
            (VERDICTS_FILE, EVALSET_FILE),
            measure_tasks,
            ("score", "score_na_five", *_NULLS),
            controls=True,
            keys={"aspect": ("mean", "helpfulness")},
            over=judged,
        ),
    ),
)
