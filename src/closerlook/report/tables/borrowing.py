"""Borrowing: how many phrases of responses a dataset contains, compared with chance."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import labeled
from closerlook.report.tables.selection import searched
from closerlook.report.tables.table import IDENTITY, Files, Measured, Part, Table
from closerlook.stats.bootstrap import Estimate, bootstrap

OBSERVED = "observed"
AXES = ("id", "searched", "unit", "where", "null", "ngram")


class Counts:
    """Phrases found and looked for in a BORROWING file: `table` [2, ids, searched, unit, where, null, ngram] int64.

    names: the values along each axis of AXES, in the file's order.
    """

    def __init__(self, path: Path) -> None:
        rows = read_parquet(path, columns=[*AXES, "found", "phrases"])
        encoded = [rows[name].combine_chunks().dictionary_encode() for name in AXES]
        self.names = {name: column.dictionary.to_pylist() for name, column in zip(AXES, encoded, strict=True)}
        self.table = np.zeros((2, *map(len, self.names.values())), dtype=np.int64)
        index = tuple(column.indices.to_numpy() for column in encoded)
        for count, name in enumerate(("found", "phrases")):
            self.table[(count, *index)] = rows[name].to_numpy()
        if rows.num_rows and OBSERVED not in self.names["null"]:
            raise CloserlookError(f"{path}: has chance levels only; delete it and run its command again")

    def select(self, **values: str | int) -> np.ndarray:
        """[2, ids]: found and looked for, at one value of every axis but the first. Zeros if the file has no such row."""
        index = [self.names[name].index(values[name]) if values[name] in self.names[name] else -1 for name in AXES[1:]]
        return np.zeros_like(self.table[:, :, 0, 0, 0, 0, 0]) if -1 in index else self.table[(..., *index)]

    def chance_levels(self, **values: str | int) -> list[str]:
        """The chance levels that have phrases at these values of the other axes."""
        names = (name for name in self.names["null"] if name != OBSERVED)
        return [name for name in names if self.select(null=name, **values)[1].any()]


def measure_borrowing(borrowing: Path) -> Iterator[Measured]:
    """Observed, chance and corrected rate by dataset searched, unit, place, chance level and n-gram length."""
    counts = Counts(borrowing)
    for unit in counts.names["unit"]:
        for ngram in sorted(counts.names["ngram"]):
            yield from _measure_length(counts, unit, ngram)


def _measure_length(counts: Counts, unit: str, ngram: int) -> Iterator[Measured]:
    """The rates of one unit and length. The same responses have such phrases, so they share one resampling."""
    keys = [
        {"searched": dataset, "unit": unit, "where": where, "ngram": ngram, "null": null}
        for dataset in counts.names["searched"]
        for where in counts.names["where"]
        for null in counts.chance_levels(searched=dataset, unit=unit, where=where, ngram=ngram)
    ]
    keys = [row for row in keys if counts.select(**(row | {"null": OBSERVED}))[1].any()]
    observed = [counts.select(**(row | {"null": OBSERVED})) for row in keys]
    chance = [counts.select(**row) for row in keys]
    for row, estimates in zip(keys, against_chance(observed, chance), strict=True):
        yield from labeled(row, dict(zip(("observed", "chance", "corrected"), estimates, strict=True)))


def against_chance(observed: Sequence[np.ndarray], chance: Sequence[np.ndarray]) -> list[tuple[Estimate, ...]]:
    """Observed, chance and corrected rate, (observed - chance) / (1 - chance), of several pairs of counts.

    observed, chance: [2, responses] each, found and looked for. Responses for which nothing observed was looked for are null;
    all pairs must have the same such responses as the first. Intervals resample responses, with both of their counts. A rate
    is None if nothing was looked for, the corrected rate also if chance finds everything.
    """
    if not observed:
        return []
    valid = observed[0][1] > 0
    sums = np.stack([np.concatenate([o, c]) for o, c in zip(observed, chance, strict=True)])[:, :, valid]
    sums = sums.astype(np.float64)  # [pairs, 4, responses]
    n, flat = int(valid.sum()), sums.reshape(4 * len(sums), -1).T
    estimates = bootstrap([flat], _rates, n_null=len(valid) - n)
    return [tuple(estimates[first : first + 3]) for first in range(0, len(estimates), 3)]


def _rates(totals: np.ndarray) -> np.ndarray:
    """[resamples, pairs x 4] to [resamples, pairs x 3]; NaN where undefined."""
    found, phrases, found_by_chance, phrases_by_chance = totals.reshape(len(totals), -1, 4).transpose(2, 0, 1)
    observed, chance = found / phrases, found_by_chance / phrases_by_chance
    corrected = np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)
    return np.stack([observed, chance, corrected], axis=2).reshape(len(totals), -1)


BORROWING = Table(
    name="borrowing",
    title="Borrowing by n-gram length, compared with chance",
    caption=(
        "One row per cell, dataset searched, kind of phrase and chance level (null): the share of phrases that also "
        "occur in the dataset, by their number of words. A corrected rate above 0 means more than by chance."
    ),
    metrics=metrics.BORROWING,
    keys=("searched", "unit", "where", "null", "ngram"),
    spread=("ngram",),
    sections={"Corrected": ("corrected",), "Observed": ("observed",), "Chance": ("chance",)},
    asks_for="searched",
    parts=(
        Part(IDENTITY, (Files.BORROWING,), measure_borrowing, tuple(metrics.BORROWING), controls=True, over=searched),
    ),
)
