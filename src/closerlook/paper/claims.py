"""The paper's findings as statements about pairs of cells.

A claim names the pairs of cells of a grid that it is about, what is measured of a pair (its effect), and for which effects it
holds. The same pairs are found among the paper's own rows (`paper_grid`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from closerlook.core.grouping import grouped
from closerlook.paper.mapping import IMPROVED, MODELS
from closerlook.paper.reference import ASPECTS, printed

Row = dict[str, Any]
Pairs = Callable[[list[Row]], Iterator[tuple[Row, Row]]]
"""Returns the pairs that a claim is about, from the tuned cells of a grid (rows of grid.csv, sizes as int)."""
Measure = Literal["score", "kl_fall", "shifted", "length_distance", "length_order", "from_data", "beyond_chance"]
"""score: of the first minus that of the second, mean over instructions. kl_fall: by what share the mean KL falls after the first
5% of a sentence's tokens. shifted: share of shifted tokens, first minus second. length_distance: |log ratio of mean response
length to the dataset's|, second minus first. length_order: mean response length after the dataset with the longer responses,
minus that after the other. from_data: share of hallucinated phrases that come from the instruction data, first minus second.
beyond_chance: the same, with each share reduced by that in instances of the same dataset that were not tuned on."""


@dataclass(frozen=True)
class Claim:
    """A statement about pairs of cells. It holds if the effect is `more` than the bound, `less`, or `within` plus/minus it."""

    statement: str
    measure: Measure
    sense: Literal["more", "less", "within"]
    pairs: Pairs
    bound: float = 0.0
    aspect: str = ""
    """The aspect of a score; else empty."""


def same_data(first: str, second: str) -> Pairs:
    """Pairs of cells that differ only in the method."""

    def pairs(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
        for group in grouped(rows, ("model", "dataset", "size", "seed", "evalset")).values():
            methods = {row["method"]: row for row in group}
            if first in methods and second in methods:
                yield methods[first], methods[second]

    return pairs


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


def improvements(method: str, *, first: bool) -> Pairs:
    """Pairs of an improved method and a plain one: NEFTune and `method` on the same data, and SFT on filtered or evolved data and
    `method` on the largest subset of the original data. first: the improved cell is the first of the pair."""

    def pairs(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
        improved_pairs = list(same_data("nft", method)(rows))
        largest = {key: largest for key, (_, largest) in _sizes(rows, method).items()}
        for row in rows:
            key = (row["model"], IMPROVED.get(row["dataset"]), row["seed"], row["evalset"])
            if row["method"] == "sft" and key in largest:
                improved_pairs.append((row, largest[key]))
        yield from improved_pairs if first else ((plain, row) for row, plain in improved_pairs)

    return pairs


def simplified_against_original(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
    """Pairs of a cell tuned on simplified responses and the cell tuned on the original responses."""
    by_cell = {(row["cell"], row["evalset"]): row for row in rows}
    for row in rows:
        if original := by_cell.get((row["original"], row["evalset"])):
            yield row, original


def dataset_pairs(method: str) -> Pairs:
    """Pairs of cells on the largest subsets of two datasets."""

    def pairs(rows: list[Row]) -> Iterator[tuple[Row, Row]]:
        largest = [largest for _, largest in _sizes(rows, method).values()]
        for group in grouped(largest, ("model", "seed", "evalset")).values():
            yield from combinations(group, 2)

    return pairs


def _score_claims(statement: str, pairs: Pairs, aspects: Sequence[str] = ("factuality", "helpfulness")) -> list[Claim]:
    return [Claim(statement.format(aspect=aspect), "score", "more", pairs, aspect=aspect) for aspect in aspects]


_UNMOVED = "LFT's {aspect} moves by less than 0.2 from the smallest subset to the largest"
_BORROWED = "More of SFT's hallucinations than of LFT's come from the data"
_LARGEST = "LFT on the smallest subset has more {aspect} than SFT on the largest"
_PLAIN = "NEFTune, or SFT on improved data, has more {aspect} than plain SFT"

CLAIMS: tuple[Claim, ...] = (
    # Section 3
    *_score_claims("LFT {aspect} > SFT {aspect} on the same data", same_data("lft", "sft")),
    *_score_claims(_LARGEST, smallest_against_largest("lft", "sft")),
    *(
        Claim(_UNMOVED.format(aspect=aspect), "score", "within", largest_against_smallest("lft"), 0.2, aspect)
        for aspect in ASPECTS
    ),
    Claim(
        "LFT's KL falls by more than half after the first 5% of a sentence", "kl_fall", "more", single_cells("lft"), 0.5
    ),
    Claim(
        "SFT's KL falls by less than half after the first 5% of a sentence", "kl_fall", "less", single_cells("sft"), 0.5
    ),
    Claim("SFT shifts more tokens than LFT on the same data", "shifted", "more", same_data("sft", "lft")),
    # Section 4
    Claim(
        "SFT on the dataset with longer responses gives longer answers", "length_order", "more", dataset_pairs("sft")
    ),
    Claim(
        "SFT's answers are nearer in length to the data's than LFT's",
        "length_distance",
        "more",
        same_data("sft", "lft"),
    ),
    *_score_claims("Simplified responses in the data raise factuality", simplified_against_original, ("factuality",)),
    # Section 5
    Claim(_BORROWED, "from_data", "more", same_data("sft", "lft")),
    Claim(f"{_BORROWED}, beyond chance", "beyond_chance", "more", same_data("sft", "lft")),
    # Section 6
    *_score_claims("LFT has more {aspect} than NEFTune, or SFT on improved data", improvements("lft", first=False)),
    *_score_claims(_PLAIN, improvements("sft", first=True)),
)

_KINDS = {"score": "aspects", "kl_fall": "kl", "length_order": "lengths", "from_data": "origin"}
"""The kind of printed rows that has a measure; the paper prints no other measure."""
_SIMPLIFIED = {"lima-simple": "lima"}


def paper_grid(measure: Measure) -> list[Row]:
    """The paper's tuned cells with a printed measure, as rows of a grid; `printed` is the printed row."""
    rows: list[Row] = []
    for row in printed():
        if row.kind == _KINDS.get(measure) and row.dataset and row.method:
            cell = f"{MODELS[row.model]}/{{}}@{row.size}/{row.method}"
            original = cell.format(_SIMPLIFIED[row.dataset]) if row.dataset in _SIMPLIFIED else ""
            keys = {
                "model": MODELS[row.model],
                "dataset": row.dataset,
                "size": row.size,
                "method": row.method,
                "seed": 0,
            }
            keys |= {"cell": cell.format(row.dataset), "evalset": row.evalset, "original": original}
            rows.append(keys | {"printed": row})
    return rows
