"""The grid: the cells of a preset, with their names."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from closerlook.config.catalog import Catalog
from closerlook.config.derived import SimplifiedSource
from closerlook.config.preset import Block, Preset

NO_DATASET = "none"
"""The dataset in the name of a control, which has none."""


@dataclass(frozen=True)
class Cell:
    """One model x dataset@size x method x seed. `dataset` is as written in the grid (alpaca@1k); None for a control."""

    model: str
    dataset: str | None
    method: str
    seed: int = 0

    @property
    def run(self) -> str:
        """Last part of the name: the method, and the seed unless it is 0."""
        return f"{self.method}-s{self.seed}" if self.seed else self.method

    @property
    def name(self) -> str:
        """The cell's name, which is also its path under cells/."""
        return f"{self.model}/{self.dataset or NO_DATASET}/{self.run}"


def dataset_and_size(reference: str) -> tuple[str, int | None]:
    """Split `alpaca@1k` into ("alpaca", 1000); without a size, into ("alpaca", None). Raises ValueError for a malformed size."""
    name, at, written = _without_draw(reference).partition("@")
    if not at:
        return name, None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(k|m)?", written, re.IGNORECASE)
    size = float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[(match[2] or "").lower()] if match else 0
    if size < 1 or size != int(size):
        raise ValueError(f"{written} is not a size")
    return name, int(size)


def draw_of(reference: str) -> int:
    """Which draw of a subset it is: 2 for alpaca@1k-d2, 0 for alpaca@1k."""
    return int(reference.removeprefix(_without_draw(reference)).removeprefix("-d") or 0)


def _without_draw(reference: str) -> str:
    return re.sub(r"(?<=@)([^@]+)-d[1-9]\d*$", r"\1", reference)


def expand(preset: Preset, catalog: Catalog) -> dict[Cell, list[str]]:
    """Every cell of the grid with its evalsets, in the preset's order."""
    cells: dict[Cell, list[str]] = {}
    for block in preset.grid:
        for cell in cells_of(block, catalog):
            cells.setdefault(cell, []).extend(block.evalsets)
    return cells


def cells_of(block: Block, catalog: Catalog) -> Iterator[Cell]:
    """The cells of one block. A control has one cell per model, since it has neither a dataset nor a random seed."""
    for model in block.models:
        for method in block.methods:
            if catalog.methods[method].train is None:
                yield Cell(model, None, method)
            else:
                for dataset in block.datasets:
                    for seed in block.seeds:
                        redrawn = block.redraw and seed and "@" in dataset
                        yield Cell(model, f"{dataset}-d{seed}" if redrawn else dataset, method, seed)


def originals(cells: Iterable[Cell], catalog: Catalog) -> dict[Cell, Cell]:
    """For each cell tuned on a simplified dataset, the cell tuned on the original dataset, if the grid has it."""
    trained = {(c.model, *dataset_and_size(c.dataset), c.method, c.seed): c for c in cells if c.dataset}
    pairs = {}
    for (model, name, size, method, seed), cell in trained.items():
        source = catalog.datasets[name].source
        if isinstance(source, SimplifiedSource) and (original := trained.get((model, source.of, size, method, seed))):
            pairs[cell] = original
    return pairs
