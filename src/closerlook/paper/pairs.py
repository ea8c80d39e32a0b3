"""The pairs of cells that claims are about, found among the rows of a grid or of the paper."""

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from typing import Any

from closerlook.config.rows import with_base
from closerlook.core.grouping import grouped
from closerlook.paper.mapping import IMPROVED

Row = dict[str, Any]
Pairs = Callable[[list[Row]], Iterator[tuple[Row, Row]]]
"""Returns the pairs that a claim is about, from the cells of a grid: rows of grid.csv, sizes as int; controls have none."""


def over_base(method: str) -> Pairs:
    """Pairs of each cell of a method and its untuned base model on the same evalset."""
    return lambda rows: ((row, base) for row, base in with_base(rows) if row["method"] == method)


def same_data(first: str, second: str) -> Pairs:
    """Pairs of cells that differ only in the method."""

    def pairs(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
        for group in grouped(rows, ("model", "dataset", "size", "seed", "evalset")).values():
            methods = {row["method"]: row for row in group}
            if first in methods and second in methods:
                yield methods[first], methods[second]

    return pairs


def of_cells(pairs: Pairs) -> Pairs:
    """The same pairs, each once: not for every evalset that the cells answer."""

    def once(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
        seen = {(row["cell"], second["cell"]): (row | {"evalset": ""}, second) for row, second in pairs(rows)}
        yield from seen.values()

    return once


def _sizes(rows: Iterable[Row], method: str) -> dict[tuple[Any, ...], tuple[Row, Row]]:
    """The cells of a method on the smallest and the largest subset of each dataset."""
    groups = grouped((row for row in rows if row["method"] == method), ("model", "dataset", "seed", "evalset"))
    ordered = {key: sorted(group, key=lambda row: row["size"]) for key, group in groups.items()}
    return {key: (group[0], group[-1]) for key, group in ordered.items()}


def smallest_against_largest(first: str, second: str) -> Pairs:
    """Pairs of one method on the smallest subset of a dataset and another on the largest."""

    def pairs(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
        large = _sizes(rows, second)
        for key, (smallest, _) in _sizes(rows, first).items():
            if key in large and smallest["size"] < large[key][1]["size"]:
                yield smallest, large[key][1]

    return pairs


def largest_against_smallest(method: str) -> Pairs:
    """Pairs of a method on the largest subset of a dataset and on the smallest."""

    def pairs(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
        for smallest, largest in _sizes(rows, method).values():
            if smallest["size"] < largest["size"]:
                yield largest, smallest

    return pairs


def single_cells(method: str) -> Pairs:
    """Pairs of each cell of a method with itself."""
    return lambda rows: ((row, row) for row in rows if row["method"] == method)


def improvements(method: str) -> Pairs:
    """Pairs of an improved method and a plain one: NEFTune and `method` on the same data, and SFT on filtered or evolved data and
    `method` on the largest subset of the original data."""

    def pairs(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
        yield from same_data("nft", method)(rows)
        largest = {key: largest for key, (_, largest) in _sizes(rows, method).items()}
        for row in rows:
            key = (row["model"], IMPROVED.get(row["dataset"]), row["seed"], row["evalset"])
            if row["method"] == "sft" and key in largest:
                yield row, largest[key]

    return pairs


def over_full_tuning(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
    """Pairs of an LFT cell and each cell that tunes all parameters on the same data, or on improved data."""
    yield from same_data("lft", "sft")(rows)
    yield from ((plain, improved) for improved, plain in improvements("lft")(rows))


def simplified_against_original(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
    """Pairs of a cell tuned on simplified responses and the cell tuned on the original responses."""
    by_cell = {(row["cell"], row["evalset"]): row for row in rows}
    for row in rows:
        if original := by_cell.get((row["original"], row["evalset"])):
            yield row, original


def without_half(method: str) -> Pairs:
    """Pairs of a cell of a method and one that is tuned without half of the instances that its spans were traced to, once for all
    seeds of the latter: the causal test reads them together."""

    def pairs(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
        tests = {
            (row["ablation_of"], row["evalset"], row["ablation_marker"]): row
            for row in rows
            if row["ablated"] == "half"
        }
        for row in rows:
            for (cell, evalset, _), arm in tests.items():
                if (row["method"], row["cell"], row["evalset"]) == (method, cell, evalset):
                    yield row, arm

    return pairs


def dataset_pairs(method: str) -> Pairs:
    """Pairs of cells on the largest subsets of two datasets."""

    def pairs(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
        largest = [largest for _, largest in _sizes(rows, method).values()]
        for group in grouped(largest, ("model", "seed", "evalset")).values():
            yield from combinations(group, 2)

    return pairs
