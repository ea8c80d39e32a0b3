"""The effect that a claim of the paper is about: from a grid's files, paired by instruction, or from the paper's numbers."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from closerlook.core.files import read_parquet
from closerlook.paper.claims import CLAIMS
from closerlook.paper.reference import printed
from closerlook.report.tables.borrowing import HELD_OUT, OBSERVED, TUNED_ON, Counts
from closerlook.report.tables.measuring import Tokens, floats
from closerlook.report.tables.shift import first_tokens
from closerlook.report.tables.table import Row
from closerlook.report.tables.verdicts import Column, aligned, read_verdicts, versions
from closerlook.stats.bootstrap import Estimate, estimate_of, interval, resamplings
from closerlook.stats.seeds import Pooled, pool

FEWEST = 30
"""Smallest number of instructions with a measurement: of fewer, resampling does not show how far off their mean may be."""
NORMAL = 1.959964
"""Standard errors in half of a 95% interval."""
HALF_WIDTH, AT = 0.06, 800
"""Of the paper's means: the widest half of a 95% bootstrap interval that such means have at this number of instructions."""
INSTRUCTIONS = {"just-eval-instruct": 800, "medinstruct-test": 216}
CLAIM = {claim.statement: claim for claim in CLAIMS}

PAIRED, HALF_WIDTHS, NUMBERS = "paired test", "half-widths at n = 800", "the numbers alone"
"""What an effect is decided by."""
AS_PRINTED = "as printed"

Ratios = tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]
"""sums and counts, [instructions, columns], and the function from their ratios to the effect: [..., columns] to [...]."""


class Effect(NamedTuple):
    """An effect, its standard error (None: unknown), and what it was decided by. pooled: if it is a mean over trainings."""

    estimate: Estimate
    error: float | None
    by: str
    version: str = ""
    pooled: Pooled | None = None


def pool_effects(effects: list[Effect]) -> Effect:
    """One effect of several trainings. It has no error if one of them has none."""
    pooled = pool([effect.estimate for effect in effects])
    if pooled is None:
        return effects[-1]
    error = None if any(effect.error is None for effect in effects) else 0.0
    versions = " / ".join(dict.fromkeys(effect.version for effect in effects))
    return Effect(pooled.estimate, error, effects[0].by, versions, pooled)


def effect_from_files(row: Row, paths: list[Path]) -> Effect:
    """Paired by instruction, from the files of a grid's two cells; n is the number of instructions."""
    measure = CLAIM[row["claim"]].measure
    version = versions(*map(read_verdicts, paths[:2])) if measure == "score" else ""
    measured = MEASURES[measure](row, *paths[:4])
    estimate, error = bootstrap_effect(*measured) if measured else (Estimate(None), None)
    return Effect(estimate, error, PAIRED, version)


def bootstrap_effect(
    sums: np.ndarray, counts: np.ndarray, combine: Callable[[np.ndarray], np.ndarray]
) -> tuple[Estimate, float | None]:
    """The effect with its bootstrap interval and standard error over instructions.

    Instructions with a NaN, or nothing to count, are null. With fewer than FEWEST instructions, the error is None.
    """
    valid = np.isfinite(sums).all(axis=1) & np.isfinite(counts).all(axis=1) & (counts > 0).any(axis=1)
    sums, counts, n, null = sums[valid], counts[valid], int(valid.sum()), int((~valid).sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(combine(sums.sum(axis=0) / counts.sum(axis=0))) if n else math.nan
        if not math.isfinite(value):
            return Estimate(None, n=n, n_null=null), None
        if n < 2:
            return Estimate(value, n=n, n_null=null), None
        resampled = combine((_weights(n) @ sums) / (_weights(n) @ counts))
    estimate = estimate_of(value, interval([resampled[:, None]], n)[:, 0].tolist(), n, null)
    enough = (counts > 0).sum(axis=0).min() >= FEWEST
    # Resamples of n vary (n - 1) / n times as much as samples of n.
    error = float(np.nanstd(resampled, ddof=1)) * math.sqrt(n / (n - 1)) if estimate.low is not None else 0.0
    return estimate, error if enough else None


@lru_cache(maxsize=4)
def _weights(n: int) -> np.ndarray:
    return np.concatenate(list(resamplings(n)))


def _score(row: Row, first: Path, second: Path, *_: Path) -> Ratios | None:
    pair = read_verdicts(first), read_verdicts(second)
    if not all(row["aspect"] in each.aspects for each in pair):
        return None
    scores = aligned([each.aspect(row["aspect"]) for each in pair])
    difference = scores[:, :1] - scores[:, 1:]
    return difference, np.ones_like(difference), lambda means: means[..., 0]


def _kl_fall(row: Row, shift: Path, *_: Path) -> Ratios:
    tokens = Tokens(shift, ["kl_base_tuned", "sentence_token", "sentence_length"])
    first = first_tokens(tokens)
    sums = [tokens.total(np.where(part, tokens["kl_base_tuned"], 0.0)) for part in (first, ~first)]
    counts = [tokens.total(part) for part in (first, ~first)]
    return np.column_stack(sums), np.column_stack(counts), lambda means: 1 - means[..., 1] / means[..., 0]


def _shifted(row: Row, first: Path, second: Path, *_: Path) -> Ratios:
    columns: list[Column] = []
    for path in (first, second):
        ids = tuple(read_parquet(path, columns=["id"])["id"].to_pylist())
        tokens = Tokens(path, ["class"])
        columns += [(ids, tokens.total(tokens["class"] == "shifted")), (ids, tokens.total(np.ones(len(tokens.owner))))]
    table = aligned(columns)
    return table[:, [0, 2]], table[:, [1, 3]], lambda means: means[..., 0] - means[..., 1]


def _length_order(row: Row, first: Path, second: Path, first_data: Path, second_data: Path) -> Ratios:
    lengths = aligned([_characters(path) for path in (first, second)])
    sign = 1 if _mean_characters(first_data) >= _mean_characters(second_data) else -1
    return lengths, np.ones_like(lengths), lambda means: sign * (means[..., 0] - means[..., 1])


def _length_distance(row: Row, first: Path, second: Path, data: Path, *_: Path) -> Ratios:
    lengths, data_length = aligned([_characters(path) for path in (first, second)]), _mean_characters(data)

    def nearer(means: np.ndarray) -> np.ndarray:
        distance = np.abs(np.log(means / data_length))
        return distance[..., 1] - distance[..., 0]

    return lengths, np.ones_like(lengths), nearer


def _from_data(row: Row, first: Path, second: Path, *_: Path) -> Ratios:
    """Marked spans whose words are in the dataset, of all marked spans (criterion `words` of the table origin)."""
    table = aligned([column for path in (first, second) for column in _span_counts(row, path, OBSERVED)])
    return table[:, ::2], table[:, 1::2], lambda means: means[..., 0] - means[..., 1]


def _beyond_chance(row: Row, first: Path, second: Path, *_: Path) -> Ratios:
    """The same, each share minus that in instances of the same dataset that were not tuned on."""
    table = aligned([column for path in (first, second) for column in _span_counts(row, path, TUNED_ON, HELD_OUT)])
    return (
        table[:, ::2],
        table[:, 1::2],
        lambda means: (means[..., 0] - means[..., 1]) - (means[..., 2] - means[..., 3]),
    )


def _span_counts(row: Row, borrowing: Path, *nulls: str) -> Iterator[Column]:
    """For each of `nulls`: by response, the spans that the cell's own dataset (or a part) contains, and all looked up."""
    counts = Counts(borrowing)
    own, unit = row["searched"][0], f"span:{row['judge']}"
    for null in nulls:
        for column in counts.parts(null, searched=own, unit=unit, where="all", ngram=0).sum(axis=0):
            yield tuple(counts.ids), column.astype(np.float64)


MEASURES: Mapping[str, Callable[..., Ratios | None]] = {
    "score": _score,
    "kl_fall": _kl_fall,
    "shifted": _shifted,
    "length_order": _length_order,
    "length_distance": _length_distance,
    "from_data": _from_data,
    "beyond_chance": _beyond_chance,
}


@cache
def _characters(responses: Path) -> Column:
    table = read_parquet(responses, columns=["id", "text"])
    return tuple(table["id"].to_pylist()), floats(pc.utf8_length(table["text"]))


@cache
def _mean_characters(data: Path) -> float:
    return float(pc.mean(pc.utf8_length(read_parquet(data, columns=["response"])["response"])).as_py())


def effect_from_paper(row: Row) -> Effect:
    """From two printed rows; n is the number of instructions of their test set if their uncertainty is known, else 0."""
    claim, first, second = CLAIM[row["claim"]], row["printed"].values, row["second_row"]["printed"].values
    if claim.measure == "score":
        a, b, n = first[claim.aspect], second[claim.aspect], INSTRUCTIONS[row["evalset"]]
        if a is None or b is None:
            return Effect(Estimate(None), None, HALF_WIDTHS, AS_PRINTED)
        error = math.sqrt(2 * AT / n) * HALF_WIDTH / NORMAL
        estimate = Estimate(a - b, a - b - NORMAL * error, a - b + NORMAL * error, n)
        return Effect(estimate, error, HALF_WIDTHS, AS_PRINTED)
    if claim.measure == "kl_fall":
        value = 1 - first["last_95pct"] / first["first_5pct"]
    elif claim.measure == "from_data":
        value = first["from_data"] - second["from_data"]
    else:
        sign = 1 if _printed_length(row["dataset"]) >= _printed_length(row["second_row"]["dataset"]) else -1
        value = sign * (first["model_response"] - second["model_response"])
    return Effect(Estimate(value), None, NUMBERS)


def _printed_length(dataset: str) -> float:
    """Table 11's mean length of the responses in a dataset."""
    lengths = (row.values.get("dataset_response") for row in printed() if row.dataset == dataset)
    return next(length for length in lengths if length is not None)
