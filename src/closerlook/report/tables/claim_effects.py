"""The effect that a claim of the paper is about: paired by instruction from a grid's files, or from the paper's numbers."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from closerlook.core.files import read_parquet
from closerlook.paper.claims import CLAIMS
from closerlook.report.tables.borrowing import OBSERVED, Counts
from closerlook.report.tables.differences import versions
from closerlook.report.tables.lists import Tokens
from closerlook.report.tables.table import Row, names_of
from closerlook.report.tables.verdicts import aligned, read_verdicts
from closerlook.stats.bootstrap import Estimate, interval, resamplings

FEWEST = 30
"""Instructions that have what is measured: of fewer, resampling does not tell how far their mean may be off."""
NORMAL = 1.959964
"""Standard errors in half of a 95% interval."""
HALF_WIDTH, AT = 0.06, 800
"""Of the paper's means: the widest half of a 95% bootstrap interval that such means have at so many instructions."""
INSTRUCTIONS = {"just-eval-instruct": 800, "medinstruct-test": 216}
CHANCE = "matched"
CLAIM = {claim.says: claim for claim in CLAIMS}

Measured = tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]
"""sums and counts, [instructions, columns], and what makes the effect of their ratios: [..., columns] to [...]."""


class Effect(NamedTuple):
    """An effect, its standard error (None: not known, the number alone decides), and what it was judged by."""

    estimate: Estimate
    error: float | None
    by: str
    version: str = ""


# ------------------------------------------------------------------------------------------------------ from the grid's files
PAIRED = "paired test"


def effect_from_files(row: Row, paths: list[Path]) -> Effect:
    """Paired by instruction from the files of a grid's two cells; n is the number of instructions."""
    measure = CLAIM[row["claim"]].measure
    version = versions(*map(read_verdicts, paths[:2])) if measure == "score" else ""
    measured = MEASURES[measure](row, *paths[:4])
    return (
        Effect(*_bootstrapped(*measured), PAIRED, version)
        if measured
        else Effect(Estimate(None), None, PAIRED, version)
    )


def _bootstrapped(
    sums: np.ndarray, counts: np.ndarray, combine: Callable[[np.ndarray], np.ndarray]
) -> tuple[Estimate, float | None]:
    """The effect, with percentile interval and standard error over resampled instructions, unless too few have what is measured.

    Null are those with a NaN, or nothing to count.
    """
    whole = np.isfinite(sums).all(axis=1) & np.isfinite(counts).all(axis=1) & (counts > 0).any(axis=1)
    sums, counts, n, null = sums[whole], counts[whole], int(whole.sum()), int((~whole).sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(combine(sums.sum(axis=0) / counts.sum(axis=0))) if n else math.nan
        if not math.isfinite(value):
            return Estimate(None, n=n, n_null=null), None
        if n < 2:
            return Estimate(value, n=n, n_null=null), None
        resampled = combine((_weights(n) @ sums) / (_weights(n) @ counts))
    low, high = interval([resampled[:, None]])[:, 0]
    enough = (counts > 0).sum(axis=0).min() >= FEWEST
    return Estimate(value, float(low), float(high), n, null), float(np.nanstd(resampled, ddof=1)) if enough else None


@lru_cache(maxsize=4)
def _weights(n: int) -> np.ndarray:
    return np.concatenate(list(resamplings(n)))


def _score(row: Row, one: Path, other: Path, *_: Path) -> Measured | None:
    pair = read_verdicts(one), read_verdicts(other)
    if not all(row["aspect"] in each.aspects for each in pair):
        return None
    columns = aligned([(each.ids, each.scores[:, each.aspects.index(row["aspect"])]) for each in pair])
    difference = columns[:, :1] - columns[:, 1:]
    return difference, np.ones_like(difference), lambda means: means[..., 0]


def _kl_fall(row: Row, shift: Path, *_: Path) -> Measured:
    """As Figure 4 splits sentences (closerlook.report.tables.shift)."""
    tokens = Tokens(shift, ["kl_base_tuned", "sentence_token", "sentence_length"])
    first = tokens["sentence_token"] < np.ceil(tokens["sentence_length"] / 20)
    sums = [tokens.total(np.where(part, tokens["kl_base_tuned"], 0.0)) for part in (first, ~first)]
    counts = [tokens.total(part) for part in (first, ~first)]
    return np.column_stack(sums), np.column_stack(counts), lambda means: 1 - means[..., 1] / means[..., 0]


def _shifted(row: Row, one: Path, other: Path, *_: Path) -> Measured:
    columns: list[tuple[tuple[str, ...], np.ndarray]] = []
    for path in (one, other):
        ids = tuple(read_parquet(path, columns=["id"])["id"].to_pylist())
        tokens = Tokens(path, ["class"])
        columns += [
            (ids, tokens.total(chosen)) for chosen in (tokens["class"] == "shifted", np.ones(len(tokens.owner)))
        ]
    table = aligned(columns)
    return table[:, [0, 2]], table[:, [1, 3]], lambda means: means[..., 0] - means[..., 1]


def _length_order(row: Row, one: Path, other: Path, one_data: Path, other_data: Path) -> Measured:
    lengths = aligned([_characters(path) for path in (one, other)])
    sign = 1 if _mean_characters(one_data) >= _mean_characters(other_data) else -1
    return lengths, np.ones_like(lengths), lambda means: sign * (means[..., 0] - means[..., 1])


def _length_distance(row: Row, one: Path, other: Path, data: Path, *_: Path) -> Measured:
    lengths, taught = aligned([_characters(path) for path in (one, other)]), _mean_characters(data)

    def nearer(means: np.ndarray) -> np.ndarray:
        distance = np.abs(np.log(means / taught))
        return distance[..., 1] - distance[..., 0]

    return lengths, np.ones_like(lengths), nearer


def _from_data(row: Row, one: Path, other: Path, *_: Path) -> Measured:
    """Marked spans whose words stand in the dataset, of all marked spans (criterion `words` of the table origin)."""
    table = aligned([column for path in (one, other) for column in _spans(row, path, OBSERVED)])
    return table[:, ::2], table[:, 1::2], lambda means: means[..., 0] - means[..., 1]


def _beyond_chance(row: Row, one: Path, other: Path, *_: Path) -> Measured:
    """The same, each share less that of its matched phrases."""
    table = aligned([column for path in (one, other) for column in _spans(row, path, OBSERVED, CHANCE)])
    return (
        table[:, ::2],
        table[:, 1::2],
        lambda means: (means[..., 0] - means[..., 1]) - (means[..., 2] - means[..., 3]),
    )


def _spans(row: Row, borrowing: Path, *nulls: str) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """By response, how many spans (or, by chance, phrases like them) the cell's own dataset has; and how many there are. For
    each of `nulls`.
    """
    counts = Counts(borrowing)
    own, unit = names_of(row, "searched")[0], f"span:{row['judge']}"
    for null in nulls:
        for column in counts.of(searched=own, unit=unit, where="all", null=null, ngram=0):
            yield tuple(counts.names["id"]), column.astype(np.float64)


MEASURES: Mapping[str, Callable[..., Measured | None]] = {
    "score": _score,
    "kl_fall": _kl_fall,
    "shifted": _shifted,
    "length_order": _length_order,
    "length_distance": _length_distance,
    "from_data": _from_data,
    "beyond_chance": _beyond_chance,
}


@cache
def _characters(responses: Path) -> tuple[tuple[str, ...], np.ndarray]:
    table = read_parquet(responses, columns=["id", "text"])
    return tuple(table["id"].to_pylist()), pc.utf8_length(table["text"]).to_numpy().astype(np.float64)


@cache
def _mean_characters(data: Path) -> float:
    return float(pc.mean(pc.utf8_length(read_parquet(data, columns=["response"])["response"])).as_py())


# ------------------------------------------------------------------------------------------------- from the paper's numbers
NUMBERS = "the numbers alone"
HALF_WIDTHS = "half-widths at n = 800"
AS_PRINTED = "as printed"


def effect_from_paper(row: Row) -> Effect:
    """From two printed rows; n is the number of instructions of their test set where their uncertainty is known, else 0."""
    claim, one, other = CLAIM[row["claim"]], row["printed"].values, row["beside"]["printed"].values
    if claim.measure == "score":
        a, b, n = one[claim.aspect], other[claim.aspect], INSTRUCTIONS[row["evalset"]]
        if a is None or b is None:
            return Effect(Estimate(None), None, HALF_WIDTHS, AS_PRINTED)
        error = math.sqrt(2 * AT / n) * HALF_WIDTH / NORMAL
        value = a - b
        return Effect(
            Estimate(value, value - NORMAL * error, value + NORMAL * error, n), error, HALF_WIDTHS, AS_PRINTED
        )
    if claim.measure == "kl_fall":
        value = 1 - one["last_95pct"] / one["first_5pct"]
    elif claim.measure == "from_data":
        value = one["from_data"] - other["from_data"]
    else:
        taught = {each["dataset"]: _printed_length(each) for each in (row, row["beside"])}
        sign = 1 if taught[row["dataset"]] >= taught[row["beside"]["dataset"]] else -1
        value = sign * (one["model_response"] - other["model_response"])
    return Effect(Estimate(value), None, NUMBERS)


def _printed_length(row: Row) -> float:
    """Table 11's mean length of the responses in a dataset."""
    from closerlook.paper.reference import printed

    lengths = (one.values.get("dataset_response") for one in printed() if one.dataset == row["dataset"])
    return next(length for length in lengths if length is not None)
