"""Borrowing beside chance: rates, and what is left of them when chance is taken off."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.report.tables import metrics
from closerlook.report.tables.selection import searched
from closerlook.report.tables.table import BORROWING_FILE, IDENTITY, Measured, Part, Table
from closerlook.stats.bootstrap import Estimate, bootstrap

OBSERVED = "observed"
AXES = ("id", "searched", "unit", "where", "null", "ngram")


class Counts:
    """Phrases found and looked for, of one BORROWING file: `table` [2, ids, searched, unit, where, null, ngram] int64.

    names: the values along each axis of AXES, in the file's order.
    """

    def __init__(self, path: Path) -> None:
        rows = read_parquet(path, columns=[*AXES, "found", "phrases"])
        encoded = [rows[name].combine_chunks().dictionary_encode() for name in AXES]
        self.names = {name: column.dictionary.to_pylist() for name, column in zip(AXES, encoded, strict=True)}
        self.table = np.zeros((2, *map(len, self.names.values())), dtype=np.int64)
        place = tuple(column.indices.to_numpy() for column in encoded)
        for which, name in enumerate(("found", "phrases")):
            self.table[(which, *place)] = rows[name].to_numpy()
        if rows.num_rows and OBSERVED not in self.names["null"]:
            raise CloserlookError(f"{path}: has chance levels only; delete it and run its command again")

    def of(self, **wanted: str | int) -> np.ndarray:
        """[2, ids]: found and looked for, with all axes but the responses fixed. Zeros where the file has no such row."""
        places = [self.names[name].index(wanted[name]) if wanted[name] in self.names[name] else -1 for name in AXES[1:]]
        return np.zeros_like(self.table[:, :, 0, 0, 0, 0, 0]) if -1 in places else self.table[(..., *places)]

    def nulls(self, **wanted: str | int) -> list[str]:
        """The chance levels that looked for anything there."""
        names = (name for name in self.names["null"] if name != OBSERVED)
        return [name for name in names if self.of(null=name, **wanted)[1].any()]


def measure_borrowing(borrowing: Path) -> Iterator[Measured]:
    """Observed, chance and corrected rate of each dataset searched, unit, place, chance level and n-gram length."""
    counts = Counts(borrowing)
    for unit in counts.names["unit"]:
        for ngram in sorted(counts.names["ngram"]):
            yield from _of_length(counts, unit, ngram)


def _of_length(counts: Counts, unit: str, ngram: int) -> Iterator[Measured]:
    """All that is of one unit and length: the same responses have such phrases, so one resampling serves all."""
    asked = [
        {"searched": s, "unit": unit, "where": w, "ngram": ngram}
        for s in counts.names["searched"]
        for w in counts.names["where"]
    ]
    keys = [one | {"null": null} for one in asked for null in counts.nulls(**one)]
    keys = [one for one in keys if counts.of(**(one | {"null": OBSERVED}))[1].any()]
    observed = [counts.of(**(one | {"null": OBSERVED})) for one in keys]
    chance = [counts.of(**one) for one in keys]
    for one, estimates in zip(keys, against_chance(observed, chance), strict=True):
        for name, estimate in zip(("observed", "chance", "corrected"), estimates, strict=True):
            yield one, name, estimate


def against_chance(observed: Sequence[np.ndarray], chance: Sequence[np.ndarray]) -> list[tuple[Estimate, ...]]:
    """Observed, chance and corrected rate, (observed - chance) / (1 - chance), of several pairs of counts.

    observed, chance: [2, responses] each, found and looked for. Responses where nothing observed was looked for are null; those
    that the first pair has are taken for all. Intervals resample responses, with what both counts have of them. A rate is None
    where nothing was looked for, the corrected rate where chance finds everything.
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
    found, asked, found_by_chance, asked_by_chance = totals.reshape(len(totals), -1, 4).transpose(2, 0, 1)
    observed, chance = found / asked, found_by_chance / asked_by_chance
    corrected = np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)
    return np.stack([observed, chance, corrected], axis=2).reshape(len(totals), -1)


BORROWING = Table(
    title="Borrowing by n-gram length, beside chance",
    caption=(
        "Phrases of a response that stand in a dataset, whole words, case ignored. Units: n-grams that begin with a word whose "
        "first token is shifted, marginal or unshifted (section 4: 81.2% for shifted, 66.7% for marginal, without a chance "
        "level), and n-grams of marked spans: those within a span of n words or more, those of the response around a shorter "
        "one; n = 0 is the span whole. Where: all instances, or those most similar to the instruction. Chance levels: the same "
        "phrases in an unrelated dataset of as many words, in all of it where it has fewer (among similar: in its instances "
        "most similar to the same instruction); the same in the instances similar to other instructions (permuted); other "
        "phrases of the cell's answers to other prompts, as long, as rare, beginning where tuning moved nothing (matched); all "
        "n-grams of the base model's own answer (base_answer). Corrected: (observed - chance) / (1 - chance), undefined where "
        "chance is 1; intervals resample observed and chance together, leaving resamples out where it is undefined. They say "
        "nothing of what another unrelated dataset would give."
    ),
    metrics=metrics.BORROWING,
    keys=("searched", "unit", "where", "null", "ngram"),
    spread=("ngram",),
    sections={"Corrected": ("corrected",), "Observed": ("observed",), "Chance": ("chance",)},
    asks_for="searched",
    parts=(
        Part(
            IDENTITY,
            (BORROWING_FILE,),
            measure_borrowing,
            tuple(metrics.BORROWING),
            over=searched,
        ),
    ),
)
