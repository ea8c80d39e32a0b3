"""What claims measure of a pair of cells, from the files of a grid: paired by instruction, with a standard error."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from closerlook.core import layout
from closerlook.core.files import read_ids, read_parquet
from closerlook.judge.aspects import SCORES
from closerlook.paper.claims import Measure
from closerlook.report.tables.ablation import ABLATION
from closerlook.report.tables.benchmarks import subtract_scores
from closerlook.report.tables.borrowing import OBSERVED, Counts, excess, excess_over
from closerlook.report.tables.measuring import Tokens, floats
from closerlook.report.tables.shift import first_tokens
from closerlook.report.tables.spans import read_marks
from closerlook.report.tables.table import VALUE, Files, Row
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.verdicts import Column, aligned, read_verdicts
from closerlook.stats.bootstrap import Estimate, Ratio, estimate_of, interval, resamplings, student
from closerlook.stats.effects import Effect

FEWEST = 30
"""Smallest number of instructions with a measurement: of fewer, resampling does not show how far off their mean may be."""
LARGEST = float(max(SCORES) - min(SCORES))
"""Largest difference of two scores."""
NOTHING = Effect(Estimate(None))


def bootstrap_effect(
    sums: np.ndarray,
    counts: np.ndarray,
    combine: Callable[[np.ndarray], np.ndarray],
    scale: float | None = None,
) -> Effect:
    """A function of ratios of sums, with its bootstrap interval and standard error over instructions.

    sums, counts: [instructions, columns] float64. combine: from the ratios to the effect, [..., columns] to [...]. Instructions
    with a NaN, or nothing to count, are null. With fewer than FEWEST instructions, the error is None.
    """
    valid = np.isfinite(sums).all(axis=1) & np.isfinite(counts).all(axis=1) & (counts > 0).any(axis=1)
    kept_sums, kept_counts, n, null = sums[valid], counts[valid], int(valid.sum()), int((~valid).sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = kept_sums.sum(axis=0) / kept_counts.sum(axis=0)
        value = float(combine(ratios)) if n else math.nan
        if not math.isfinite(value):
            return Effect(Estimate(None, n=n, n_null=null))
        if n < 2:
            return Effect(Estimate(value, n=n, n_null=null))
        resampled = combine((_weights(n) @ kept_sums) / (_weights(n) @ kept_counts))
    estimate = estimate_of(value, interval([resampled[:, None]], n)[:, 0].tolist(), n, null)
    enough = (kept_counts > 0).sum(axis=0).min() >= FEWEST
    # Resamples of n vary (n - 1) / n times as much as samples of n.
    error = float(np.nanstd(resampled, ddof=1)) * math.sqrt(n / (n - 1)) if estimate.low is not None else 0.0
    values = np.full(len(sums), np.nan)
    values[valid] = value + n * _influences(kept_sums, kept_counts, ratios, combine)
    return Effect(Ratio.of(estimate, values, valid.astype(np.float64)), error if enough else None, scale)


@lru_cache(maxsize=4)
def _weights(n: int) -> np.ndarray:
    return np.concatenate(list(resamplings(n)))


def _influences(
    sums: np.ndarray, counts: np.ndarray, ratios: np.ndarray, combine: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """What each instruction adds to the error of the effect, [instructions] (delta method): they sum to 0."""
    steps = np.diag(1e-6 * np.maximum(1e-3, np.abs(ratios)))
    gradient = (combine(ratios + steps) - combine(ratios - steps)) / (2 * np.diag(steps))
    return (sums - ratios * counts) / counts.sum(axis=0) @ gradient


def effect_of(difference: Estimate, enough: bool) -> Effect:
    """The effect that a difference of shares is; its error is that of the interval. With too few units, it has none."""
    if difference.value is None or not enough:
        return Effect(difference)
    width = 0.0 if difference.low is None or difference.high is None else difference.high - difference.low
    return Effect(difference, width / 2 / student(max(1, difference.n - 1)), scale=1.0)


def _score(row: Row, first: Path, second: Path, *_: Path) -> Effect:
    pair = read_verdicts(first), read_verdicts(second)
    if not all(row["aspect"] in each.aspects for each in pair):
        return NOTHING
    scores = aligned([each.aspect(row["aspect"]) for each in pair])
    difference = scores[:, :1] - scores[:, 1:]
    return bootstrap_effect(difference, np.ones_like(difference), lambda means: means[..., 0], LARGEST)


def _benchmark(row: Row, first: Path, second: Path, *_: Path) -> Effect:
    difference, of_texts = subtract_scores(first, second)
    effect = effect_of(difference, difference.n >= FEWEST)
    return effect._replace(scale=None) if of_texts else effect


def _kl_fall(row: Row, first: Path, second: Path, *_: Path) -> Effect:
    columns = [column for path in (first, second) for column in _sentence_parts(path)]
    table = aligned(columns)
    return bootstrap_effect(
        table[:, ::2],
        table[:, 1::2],
        lambda means: means[..., 3] / means[..., 2] - means[..., 1] / means[..., 0],
    )


def _sentence_parts(shift: Path) -> Iterator[Column]:
    """By response: KL and number of the first tokens of sentences, then of the others."""
    tokens = Tokens(shift, ["kl_base_tuned", "sentence_token", "sentence_length"])
    ids = tuple(read_ids(shift))
    first = first_tokens(tokens)
    for part in (first, ~first):
        yield ids, tokens.total(np.where(part, tokens["kl_base_tuned"], 0.0))
        yield ids, tokens.total(part)


def _shifted(row: Row, first: Path, second: Path, *_: Path) -> Effect:
    columns: list[Column] = []
    for path in (first, second):
        ids = tuple(read_ids(path))
        tokens = Tokens(path, ["class"])
        columns += [(ids, tokens.total(tokens["class"] == "shifted")), (ids, tokens.total(np.ones(len(tokens.owner))))]
    table = aligned(columns)
    return bootstrap_effect(table[:, ::2], table[:, 1::2], _first_minus_second)


def _first_minus_second(means: np.ndarray) -> np.ndarray:
    return means[..., 0] - means[..., 1]


def _copied(row: Row, borrowing: Path, *_: Path) -> Effect:
    """Words of responses that begin with a shifted token, in the instances tuned on and in others of the same dataset."""
    counts = Counts(borrowing)
    found = excess(counts, searched=row["searched"][0], unit="shifted", where="all", ngram=1)
    difference = found.get("difference", Estimate(None))
    return effect_of(difference, difference.n >= FEWEST)


def _length_order(row: Row, first: Path, second: Path, first_data: Path, second_data: Path) -> Effect:
    lengths = aligned([_characters(path) for path in (first, second)])
    sign = 1 if _mean_characters(first_data) >= _mean_characters(second_data) else -1
    return bootstrap_effect(lengths, np.ones_like(lengths), lambda means: sign * (means[..., 0] - means[..., 1]))


def _length_distance(row: Row, first: Path, second: Path, data: Path, *_: Path) -> Effect:
    lengths, data_length = aligned([_characters(path) for path in (first, second)]), _mean_characters(data)

    def nearer(means: np.ndarray) -> np.ndarray:
        distance = np.abs(np.log(means / data_length))
        return distance[..., 1] - distance[..., 0]

    return bootstrap_effect(lengths, np.ones_like(lengths), nearer)


@cache
def _characters(responses: Path) -> Column:
    table = read_parquet(responses, columns=["id", "text"])
    return tuple(table["id"].to_pylist()), floats(pc.utf8_length(table["text"]))


@cache
def _mean_characters(data: Path) -> float:
    return float(pc.mean(pc.utf8_length(read_parquet(data, columns=["response"])["response"])).as_py())


def _spans(row: Row, first: Path, second: Path, responses: Path, second_responses: Path) -> Effect:
    columns: list[Column] = []
    for path, answers in ((first, responses), (second, second_responses)):
        marks = read_marks(path, answers)
        ids = tuple(marks.ids)
        columns += [
            (ids, np.array([len(spans) for spans in marks.spans], dtype=np.float64)),
            (ids, marks.inspected * 1.0),
        ]
    table = aligned(columns)
    return bootstrap_effect(table[:, ::2], table[:, 1::2], _first_minus_second)


def _from_data(row: Row, first: Path, second: Path, *_: Path) -> Effect:
    """Marked spans whose words are in the dataset, of all marked spans (criterion `words` of the table origin)."""
    columns = (column for path in (first, second) for column in _span_counts(row, Counts(path), OBSERVED))
    table = aligned(list(columns))
    return bootstrap_effect(table[:, ::2], table[:, 1::2], _first_minus_second)


def _similar(row: Row, first: Path, second: Path, *_: Path) -> Effect:
    """The same in the instances most similar to the instruction, each share minus that in those similar to others."""
    columns = (
        column
        for path in (first, second)
        for null in (OBSERVED, "permuted")
        for column in _span_counts(row, Counts(path), null, where="similar")
    )
    table = aligned(list(columns))
    return bootstrap_effect(
        table[:, ::2],
        table[:, 1::2],
        lambda means: means[..., 0] - means[..., 1] - means[..., 2] + means[..., 3],
    )


def _span_counts(row: Row, counts: Counts, null: str, where: str = "all") -> Iterator[Column]:
    """By response, the spans that the first cell's own dataset contains, and all that were looked up."""
    for column in counts.select(null=null, **_spans_in_own_data(row) | {"where": where}):
        yield tuple(counts.ids), column.astype(np.float64)


def _spans_in_own_data(row: Row) -> dict[str, str | int]:
    return {"searched": row["searched"][0], "unit": f"span:{row['judge']}", "where": "all", "ngram": 0}


def _beyond_chance(row: Row, first: Path, second: Path, *_: Path) -> Effect:
    """Each share minus that in instances of the same dataset that were not tuned on; the error covers their draw."""
    values, both = _spans_in_own_data(row), (Counts(first), Counts(second))
    with_spans = [int((counts.select(null=OBSERVED, **values)[1] > 0).sum()) for counts in both]
    more = excess_over(*both, values)
    return NOTHING if more is None else effect_of(more, min(with_spans) >= FEWEST)


def _cause(row: Row, ablation: Path, *_: Path) -> Effect:
    """The difference that the causal test finds, if it has several trainings of both kinds."""
    wanted = {"spans_of": row["cell"], "evalset": row["evalset"], "marker": row["judge"], "said_by": "any"}
    wanted |= {"side": "similar - half"}
    found = {
        each["metric"]: each for each in read_csv(ablation, ABLATION) if all(each[k] == v for k, v in wanted.items())
    }
    if "returned" not in found:
        return NOTHING
    difference = Estimate(*(found["returned"][name] for name in VALUE[1:]))
    return effect_of(difference, enough=found["p"]["value"] is not None)


class Reading(NamedTuple):
    """How a measure is taken: the file of each cell, maybe another one of each, and the function of a row and these four."""

    file: str
    take: Callable[..., Effect]
    other: str = layout.GRID
    """A file that exists, if there is no other."""


READINGS: Mapping[Measure, Reading] = {
    "score": Reading(Files.VERDICTS, _score),
    "benchmark": Reading(layout.benchmark("{cell}", "{task}"), _benchmark),
    "kl_fall": Reading(Files.SHIFT, _kl_fall),
    "shifted": Reading(Files.SHIFT, _shifted),
    "copied": Reading(Files.BORROWING, _copied),
    "length_order": Reading(Files.RESPONSES, _length_order, Files.SUBSET),
    "length_distance": Reading(Files.RESPONSES, _length_distance, Files.SUBSET),
    "spans": Reading(Files.SPANS, _spans, Files.RESPONSES),
    "from_data": Reading(Files.BORROWING, _from_data),
    "beyond_chance": Reading(Files.BORROWING, _beyond_chance),
    "similar": Reading(Files.BORROWING, _similar),
    "cause": Reading(layout.table("ablation"), _cause),
}


def names_of(measure: Measure, row: Row, second: Row) -> list[str]:
    """The names by which both cells are measured: judges, markers of spans, benchmark tasks; else one empty name, or none."""
    if measure in ("score", "benchmark"):
        column = "judges" if measure == "score" else "benchmarks"
        return [name for name in row[column] if name in second[column]]
    if measure == "spans":
        return [name for name in row["markers"] if name in second["markers"]]
    if measure == "cause":
        return [second["ablation_marker"]]
    if READINGS[measure].file != Files.BORROWING:
        return [""]
    looked_up = "held_out" if measure in ("beyond_chance", "copied") else "searched"
    if not row[looked_up] or row["searched"][0] not in second[looked_up]:
        return []
    return [""] if measure == "copied" else [name for name in row["markers"] if name in second["markers"]]
