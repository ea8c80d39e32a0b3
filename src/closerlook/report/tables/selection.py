"""The rows of the grid that a part of a table is measured on: one per judge, comparison, marker of spans, paraphrase."""

from collections.abc import Iterable, Iterator
from itertools import combinations

from closerlook.report.tables.table import Row, judges_of, names_of

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


def ablated(grid: Iterable[Row]) -> Iterator[Row]:
    """Cells tuned without traced instances, with the cell whose spans these are in `against`."""
    for row in grid:
        if row.get("ablation_of") and row.get("ablation_control"):
            yield row | {"against": row["ablation_of"], "marker": row["ablation_marker"]}


def likely(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per marker of cells whose spans are traced."""
    for row in grid:
        if row.get("peers"):
            yield from (row | {"marker": marker} for marker in names_of(row, "markers"))


def paraphrased(grid: Iterable[Row]) -> Iterator[Row]:
    """The same for each evalset that is theirs in other words, in `paraphrase`."""
    for row in grid:
        for name in names_of(row, "paraphrased"):
            yield from (row | {"marker": marker, "paraphrase": name} for marker in names_of(row, "markers"))


def marked(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell, evalset and marker, in `marker`."""
    return (row | {"marker": marker} for row in grid for marker in names_of(row, "markers"))


def marked_twice(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell, evalset and two markers: in `against` the one that the preset names first, such as the truth."""
    for row in grid:
        for against, marker in combinations(names_of(row, "markers"), 2):
            yield row | {"marker": marker, "against": against}


def searched(grid: Iterable[Row]) -> Iterator[Row]:
    """Cells whose responses are searched for in a dataset: their own, in `own`, before any other."""
    return (row | {"own": names[0]} for row in grid if (names := names_of(row, "searched")))


def traced(grid: Iterable[Row]) -> Iterator[Row]:
    """A row of these per marker of spans, in `marker`."""
    return (row | {"marker": marker} for row in searched(grid) for marker in names_of(row, "markers"))


def calibrated(grid: Iterable[Row]) -> Iterator[Row]:
    """Cells whose responses are also searched for in a dataset that they were not tuned on."""
    return (row for row in searched(grid) if len(names_of(row, "searched")) > 1)
