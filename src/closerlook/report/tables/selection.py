"""The rows of the grid that parts of tables are measured on: one per judge, comparison, marker or paraphrase."""

from collections.abc import Iterable, Iterator
from itertools import combinations, islice

from closerlook.config.lineage import BASE
from closerlook.config.rows import with_base
from closerlook.core.grouping import grouped
from closerlook.report.tables.table import Row

LORA = "lft"
"""The method that others on the same data are compared with; all are with the untuned model."""


def judged(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell, evalset and judge, in `judge`."""
    for row in grid:
        for judge in row["judges"]:
            yield row | {"judge": judge}


def compared(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per judge and comparison, with the name of the other cell in `against`.

    Every cell is compared with its model's base control, and every other method with LoRA on the same data and seed, as the
    paper compares SFT (section 3) and improved methods (section 6) with LFT. The rates of a sweep are not compared with LoRA at
    its own rate: the tables matched and tradeoff compare them. The grid must have both cells on the evalset, scored by the same
    judge. A cell has at most two comparisons, so that their number is linear in cells.
    """
    rows = list(grid)
    scored = {(row["cell"], row["evalset"], judge) for row in rows for judge in row["judges"]}
    for row in judged(rows):
        for against in _baselines(row):
            if (against, row["evalset"], row["judge"]) in scored:
                yield row | {"against": against}


def _baselines(row: Row) -> list[str]:
    model, subset, run = str(row["cell"]).split("/")
    names = [f"{model}/none/{BASE}"]
    if not row["sweep"]:
        names.append(f"{model}/{subset}/{LORA}{run.removeprefix(row['method'])}")
    return [name for name in dict.fromkeys(names) if name != row["cell"]]


def judged_twice(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell, evalset and pair of judges, in `judge` and `against`."""
    for row in grid:
        for judge, against in combinations(row["judges"], 2):
            yield row | {"judge": judge, "against": against}


_TEST = ("ablation_of", "evalset", "ablation_marker", "ablation_sample")


def ablated(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per model of each causal test, with its arm in `side`, and the dataset and size of the cell whose spans are sampled.

    spans_of: that cell. again: the cell's other trainings. base: its untuned control. arm: a dataset whose report has the sample.
    alternatives: how many models there are of these two kinds, which tell what is said anyway.
    """
    rows = list(grid)
    by_cell = {(row["cell"], row["evalset"]): row for row in rows}
    tests = grouped((row for row in rows if row["ablation_of"]), _TEST)
    for (name, evalset, marker, sample), arms in tests.items():
        original = by_cell[name, evalset]
        again = [row for row in rows if row["evalset"] == evalset and _is_again(row, original)]
        base = [row for row in (by_cell.get((original["base_cell"], evalset)),) if row]
        known = {
            "spans_of": name,
            "marker": marker,
            "sample": sample,
            "arm": arms[0]["dataset"],
            "alternatives": len(base) + len(again),
            **{column: original[column] for column in ("dataset", "size", "method")},
        }
        yield from (row | known | {"side": "base"} for row in base)
        yield from (row | known | {"side": "again"} for row in again)
        yield from (row | known | {"side": row["ablated"], "arm": row["dataset"]} for row in arms)


def _is_again(row: Row, original: Row) -> bool:
    """Whether a cell is another training on the same data as the original one."""
    folder, other = (str(each["cell"]).rpartition("/")[0] for each in (row, original))
    return folder == other and row["method"] == original["method"] and row["seed"] != original["seed"]


def planted(grid: Iterable[Row]) -> Iterator[Row]:
    """Cells that answer questions for planted values, with their model's base control in `untuned`."""
    pairs = with_base(row for row in grid if row["planted"])
    return (row | {"untuned": base["cell"]} for row, base in pairs if row["dataset"])


def likely(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell with peers (cells tuned on the same data), evalset and marker."""
    for row in grid:
        if row["peers"]:
            yield from (row | {"marker": marker} for marker in row["markers"])


def retrained(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell, evalset, marker and model that was tuned on a part of the cell's dataset: the model's cell in `under`, its
    data (dataset@size) in `part`."""
    for row in grid:
        for marker in row["markers"]:
            yield from (
                row | {"marker": marker, "under": name, "part": name.split("/")[1]} for name in row["retrained"]
            )


def paraphrased(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell, evalset, paraphrase of the evalset (in `paraphrase`) and marker."""
    for row in grid:
        for name in row["paraphrased"]:
            yield from (row | {"marker": marker, "paraphrase": name} for marker in row["markers"])


def marked(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell, evalset and marker, in `marker`."""
    return (row | {"marker": marker} for row in grid for marker in row["markers"])


def marked_twice(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per cell, evalset and pair of markers, with the one that the preset names first in `against`."""
    for row in grid:
        for against, marker in combinations(row["markers"], 2):
            yield row | {"marker": marker, "against": against}


def searched(grid: Iterable[Row]) -> Iterator[Row]:
    """Cells whose phrases are searched in datasets."""
    return (row for row in grid if row["searched"])


def over_base(grid: Iterable[Row]) -> Iterator[Row]:
    """Tuned cells whose borrowing has a chance level and is compared with that of their base model."""
    return (row for row in grid if row["dataset"] and row["held_out"] and row["base_cell"])


def traced(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per such cell, marker of spans (`marker`) and dataset that they are traced in (`searched`): a tuned cell's own."""
    for row in searched(grid):
        for name in row["searched"][:1] if row["dataset"] else row["searched"]:
            yield from (row | {"searched": name, "marker": marker} for marker in row["markers"])


def tried(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per world of trials, in `world`."""
    return (row | {"world": world} for row in islice(grid, 1) for world in row["trials"])


def calibrated(grid: Iterable[Row]) -> Iterator[Row]:
    """Tuned cells whose phrases are also searched in a dataset that they were not tuned on, with their own in `own`."""
    return (row | {"own": names[0]} for row in grid if row["dataset"] and len(names := row["searched"]) > 1)
