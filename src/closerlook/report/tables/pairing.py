"""Which verdicts a table of scores sets side by side: rows of the grid, one per judge, comparison or pair of judges."""

from collections.abc import Iterable, Iterator
from itertools import combinations

from closerlook.report.tables.table import Row, judges_of

BASE, LORA = "base", "lft"
"""The methods that others are compared with: the zero-shot control, and LoRA fine-tuning on the same data."""


def judged(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell, evalset and judge, in `judge`."""
    for row in grid:
        for judge in judges_of(row):
            yield row | {"judge": judge}


def compared(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per judge and cell that a cell is compared with, in `against` (its name): at most two, so rows are linear in cells.

    Every cell against its model's base control: what did tuning (or a prompt) change? Every other method against LoRA on the
    same data with the same seed: the paper's claims are SFT against LFT (section 3) and improved methods against LFT (6).
    A comparison is made where the grid has both cells on the evalset, by the same judge.
    """
    rows = list(grid)
    there = {(row["cell"], row["evalset"], judge) for row in rows for judge in judges_of(row)}
    for row in judged(rows):
        for against in _baselines(row):
            if (against, row["evalset"], row["judge"]) in there:
                yield row | {"against": against}


def _baselines(row: Row) -> list[str]:
    model, subset, run = str(row["cell"]).split("/")
    names = [f"{model}/none/{BASE}", f"{model}/{subset}/{LORA}{run.removeprefix(row['method'])}"]
    return [name for name in dict.fromkeys(names) if name != row["cell"]]


def judged_twice(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell, evalset and pair of judges, in `judge` and `against`."""
    for row in grid:
        for judge, against in combinations(judges_of(row), 2):
            yield row | {"judge": judge, "against": against}
