"""Borrowing: how many phrases of responses a dataset contains, next to what that is compared with."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.report.tables import metrics
from closerlook.report.tables.excess import PartRates, measure_excess
from closerlook.report.tables.measuring import labeled
from closerlook.report.tables.selection import over_base, searched
from closerlook.report.tables.table import IDENTITY, Files, Measured, Part, Table
from closerlook.stats.bootstrap import Estimate, bootstrap
from closerlook.stats.proportions import proportions

OBSERVED = "observed"
TUNED_ON, HELD_OUT = PARTS = "tuned_on", "held_out"
SMALL_PARTS = "tuned_on_small", "held_out_small"
"""The parts of a dataset that rates are measured in, and those that are tested: what was tuned on, and what was not."""
COMPARED = ("observed", "level", "difference")
AXES = ("searched", "unit", "where", "null", "draw", "ngram")


class Counts:
    """Phrases found and looked for in a BORROWING file.

    ids: the responses. names: the values of each of AXES, in the file's order.
    """

    def __init__(self, path: Path) -> None:
        rows = read_parquet(path, columns=["id", *AXES, "found", "phrases"])
        encoded = [rows[name].combine_chunks().dictionary_encode() for name in ("id", *AXES)]
        ids, *axes = (column.dictionary.to_pylist() for column in encoded)
        self.ids, self.names = ids, dict(zip(AXES, axes, strict=True))
        response, *places = (column.indices.to_numpy() for column in encoded)
        # A dense array over all axes would be mostly empty, since few nulls have several draws.
        shape = [max(1, len(names)) for names in axes]
        keys, place = np.unique(np.ravel_multi_index(places, shape), return_inverse=True)
        self._table = np.zeros((2, len(keys), len(ids)), dtype=np.int64)
        for count, name in enumerate(("found", "phrases")):
            self._table[count, place, response] = rows[name].to_numpy()
        indices = zip(axes, np.unravel_index(keys, shape), strict=True)
        named = zip(*([names[i] for i in of_axis] for names, of_axis in indices), strict=True)
        self._place = {key: number for number, key in enumerate(named)}
        if rows.num_rows and OBSERVED not in self.names["null"]:
            raise CloserlookError(f"{path}: has comparisons only; delete it and run its command again")

    def select(self, **values: str | int) -> np.ndarray:
        """[2, ids]: found and looked for, at one value of every axis; draw 0 if not given. Zeros if the file has no such row."""
        place = self._place.get(tuple({"draw": 0, **values}[name] for name in AXES))
        return np.zeros((2, len(self.ids)), dtype=np.int64) if place is None else self._table[:, place]

    def parts(self, null: str, **values: str | int) -> np.ndarray:
        """[draws, 2, ids]: the same of each part of this name."""
        keys = ({"null": null, "draw": draw, **values} for draw in sorted(self.names["draw"]))
        places = [self._place.get(tuple(key[name] for name in AXES)) for key in keys]
        return np.moveaxis(self._table[:, [place for place in places if place is not None]], 1, 0)

    def comparisons(self, **values: str | int) -> list[str]:
        """The nulls that have phrases at these values of the other axes, but for the parts of the dataset."""
        names = (name for name in self.names["null"] if name not in (OBSERVED, *PARTS, *SMALL_PARTS))
        return [name for name in names if self.select(null=name, **values)[1].any()]


def measure_borrowing(borrowing: Path) -> Iterator[Measured]:
    """Rates in the dataset searched, levels that they are compared with and differences, by unit, place and n-gram length."""
    counts = Counts(borrowing)
    for unit in counts.names["unit"]:
        for ngram in sorted(counts.names["ngram"]):
            yield from _compare(counts, unit, ngram)
            for dataset in counts.names["searched"]:
                values: dict[str, str | int] = {"searched": dataset, "unit": unit, "where": "all", "ngram": ngram}
                yield from labeled(values | {"null": HELD_OUT}, excess(counts, **values))


def excess(counts: Counts, **values: str | int) -> dict[str, Estimate]:
    """`measure_excess` at one value of every axis but null and draw; empty if the dataset has no parts."""
    parts = [counts.parts(name, **values) for name in (*PARTS, *SMALL_PARTS)]
    return measure_excess(*parts) if all(map(len, parts)) else {}


def _compare(counts: Counts, unit: str, ngram: int) -> Iterator[Measured]:
    """The rates of one unit and length. The same responses have such phrases, so they share one resampling."""
    keys = [
        {"searched": dataset, "unit": unit, "where": where, "ngram": ngram, "null": null}
        for dataset in counts.names["searched"]
        for where in counts.names["where"]
        for null in counts.comparisons(searched=dataset, unit=unit, where=where, ngram=ngram)
    ]
    keys = [row for row in keys if counts.select(**(row | {"null": OBSERVED}))[1].any()]
    observed = [counts.select(**(row | {"null": OBSERVED})) for row in keys]
    for row, estimates in zip(keys, compare(observed, [counts.select(**row) for row in keys]), strict=True):
        yield from labeled(row, dict(zip(COMPARED, estimates, strict=True)))


def compare(observed: Sequence[np.ndarray], level: Sequence[np.ndarray]) -> list[tuple[Estimate, ...]]:
    """The observed rate, the one that it is compared with, and their difference, of several pairs of counts.

    observed, level: [2, responses] each, found and looked for. Responses for which nothing observed was looked for are null;
    all pairs must have the same such responses as the first. The interval of the difference resamples responses, with both of
    their counts. A rate is None if nothing was looked for.
    """
    if not observed:
        return []
    valid = observed[0][1] > 0
    sums = np.stack([np.concatenate(pair) for pair in zip(observed, level, strict=True)])
    sums = np.where(valid, sums, 0).astype(np.float64)  # [pairs, 4, responses]
    n, flat = int(valid.sum()), sums[:, :, valid].reshape(4 * len(sums), -1).T
    rates = (proportions(sums[:, i].T, sums[:, i + 1].T) for i in (0, 2))
    return list(zip(*rates, bootstrap([flat], _differences, n_null=len(valid) - n), strict=True))


def _differences(totals: np.ndarray) -> np.ndarray:
    """[resamples, pairs x 4] to [resamples, pairs]; NaN where undefined."""
    found, phrases, found_there, phrases_there = totals.reshape(len(totals), -1, 4).transpose(2, 0, 1)
    return found / phrases - found_there / phrases_there


def measure_over_base(borrowing: Path, base: Path) -> Iterator[Measured]:
    """By how much more a tuned cell's spans exceed chance than the untuned base model's do, in the same parts of the dataset."""
    tuned, untuned = Counts(borrowing), Counts(base)
    for dataset in tuned.names["searched"]:
        for unit in (name for name in tuned.names["unit"] if name in untuned.names["unit"]):
            for ngram in sorted(tuned.names["ngram"]):
                values: dict[str, str | int] = {"searched": dataset, "unit": unit, "where": "all", "ngram": ngram}
                more = excess_over(tuned, untuned, values)
                if more is not None:
                    yield values | {"null": HELD_OUT}, "difference_over_base", more


def excess_over(counts: Counts, other: Counts, values: Mapping[str, str | int]) -> Estimate | None:
    """By how much more the phrases of one cell exceed chance than those of another, in the same parts of a dataset.

    values: of every axis but null and draw. None if one of the two has no phrases or the dataset no parts.
    """
    ids = list(dict.fromkeys([*counts.ids, *other.ids]))
    both = [_in_order(each, ids, **values) for each in (counts, other)]
    if not all(own[:, 1].any() for own, _ in both):
        return None
    first, second = (PartRates.of(*parts) for parts in both)
    more = first.minus(second)
    return more.difference(int((~more.has_phrases).sum()))


def _in_order(counts: Counts, ids: Sequence[str], **values: str | int) -> tuple[np.ndarray, np.ndarray]:
    """Counts of both kinds of parts, [parts, 2, ids], with the responses in the order of `ids`; zeros for those it lacks."""
    column = {id_: number for number, id_ in enumerate(counts.ids)}
    own = [column.get(id_, len(counts.ids)) for id_ in ids]
    padded = (np.pad(counts.parts(null, **values), ((0, 0), (0, 0), (0, 1))) for null in PARTS)
    tuned, held_out = (parts[:, :, own] for parts in padded)
    return tuned, held_out


BORROWING = Table(
    name="borrowing",
    title="Borrowing by n-gram length, next to chance and other comparisons",
    caption=(
        "One row per cell, dataset searched, kind of phrase and what it is compared with (null): the share of phrases, by "
        "their number of words, that the dataset contains (observed) and that the other one does (level). Only held_out, "
        "instances of the same dataset that were not tuned on, is chance: without borrowing, its difference is 0."
    ),
    metrics=metrics.BORROWING,
    keys=("searched", "unit", "where", "null", "ngram"),
    spread=("ngram",),
    sections={
        "Difference": ("difference",),
        "Difference to chance, more than that of the base model": ("difference_over_base",),
        "p of the difference to chance": ("p",),
        "Corrected for chance": ("corrected",),
        "Observed": ("observed",),
        "Level": ("level",),
        "Parts of the larger side": ("draws",),
    },
    asks_for="searched",
    parts=(
        Part(IDENTITY, (Files.BORROWING,), measure_borrowing, COMPARED, controls=True, over=searched),
        Part(
            IDENTITY,
            (Files.BORROWING, layout.borrowing("{base_cell}", "{evalset}")),
            measure_over_base,
            ("difference_over_base",),
            over=over_base,
        ),
    ),
)
