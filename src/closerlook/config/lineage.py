"""Which responses are marked and traced, and which cells belong together in causal tests."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from closerlook.config.catalog import Catalog, ParaphrasedSource
from closerlook.config.derived import AblatedSource, AblationSettings, LongestSource, ancestry
from closerlook.config.grid import Cell, cells_of, dataset_and_size, draw_of
from closerlook.config.preset import Preset
from closerlook.config.sweep import families

FEWEST = 50
"""Instances tuned on, and not tuned on, from which on there is a chance level: fewer contain next to nothing."""
BASE = "base"
"""The control whose answers are those of the untuned model, which those of a tuned one are compared with."""


class Rest(NamedTuple):
    """The instances of a whole dataset that cells tuned on it, or on a subset of it, did not see."""

    whole: str
    """The whole dataset."""
    least: int
    """How many of the last instances of the cells' own dataset each cell held out."""
    most: int
    """How many some cell held out. Those between are of no use: some cells saw them."""


@dataclass(frozen=True)
class Lineage:
    """The cells of a preset, with the markers, datasets and other cells that tracing needs for each."""

    preset: Preset
    catalog: Catalog
    cells: Mapping[Cell, list[str]]

    def is_paraphrase(self, evalset: str) -> bool:
        """Whether an evalset paraphrases another one. Cells answer it; their answers are not measured otherwise."""
        return isinstance(self.catalog.evalsets[evalset].source, ParaphrasedSource)

    def ablation(self, cell: Cell) -> AblationSettings | None:
        """The ablation settings of a cell tuned on an ablated dataset; None for other cells."""
        source = self.catalog.datasets[dataset_and_size(cell.dataset)[0]].source if cell.dataset else None
        return source.without if isinstance(source, AblatedSource) else None

    def markers(self, cell: Cell, evalset: str) -> list[str]:
        """The markers of these responses. Those of ablated cells, and to questions for planted values, have none, since only
        single phrases are looked up in them."""
        if self.is_paraphrase(evalset) or self.ablation(cell) or self.catalog.is_planted(evalset, "evalsets"):
            return []
        return list(dict.fromkeys([*self.preset.markers, *self._block_markers.get((cell, evalset), ())]))

    @cached_property
    def _block_markers(self) -> dict[tuple[Cell, str], list[str]]:
        """The markers that blocks of the grid name for their own cells."""
        markers: dict[tuple[Cell, str], list[str]] = {}
        for block in (block for block in self.preset.grid if block.markers):
            for cell in cells_of(block, self.catalog):
                for evalset in block.evalsets:
                    markers.setdefault((cell, evalset), []).extend(block.markers)
        return markers

    def traced_datasets(self, cell: Cell, evalset: str) -> list[str]:
        """The datasets (dataset@size) that these responses are traced in: the cell's own.

        A control was tuned on none. It is traced in each dataset that a traced cell of the same model and evalset was tuned on.
        """
        return (
            self._traced.get((cell, evalset), []) if cell.dataset else self._by_control.get((cell.model, evalset), [])
        )

    @cached_property
    def _traced(self) -> dict[tuple[Cell, str], list[str]]:
        """Of each tuned cell and evalset whose responses are traced, the cell's dataset.

        The rates of a sweep are not traced: they are there to compare methods, and held out what others on the data may see.
        """
        tracing, swept = self.preset.tracing, families(self.preset)
        return {
            (cell, evalset): [cell.dataset]
            for cell, evalsets in self.cells.items()
            if tracing and cell.dataset and not self.ablation(cell) and cell.method not in swept
            if not tracing.datasets or dataset_and_size(cell.dataset)[0] in tracing.datasets
            for evalset in evalsets
            if not self.is_paraphrase(evalset) and not self.catalog.is_planted(evalset, "evalsets")
        }

    @cached_property
    def _by_control(self) -> dict[tuple[str, str], list[str]]:
        """By model and evalset, the datasets that controls are traced in."""
        datasets: dict[tuple[str, str], list[str]] = {}
        for (cell, evalset), (dataset,) in self._traced.items():
            datasets.setdefault((cell.model, evalset), []).append(dataset)
        return {key: list(dict.fromkeys(names)) for key, names in datasets.items()}

    def searched_datasets(self, cell: Cell, evalset: str) -> list[str]:
        """The datasets that phrases of these responses are searched in: those that they are traced in, and of a tuned cell maybe
        one to calibrate on."""
        traced, calibrate = (
            self.traced_datasets(cell, evalset),
            self.preset.tracing.calibrate if self.preset.tracing else {},
        )
        names = traced if cell.dataset else []
        return [*traced, *(calibrate[name] for name, _ in map(dataset_and_size, names) if name in calibrate)]

    def unrelated_datasets(self, cell: Cell, evalset: str) -> dict[str, str]:
        """By searched dataset, the unrelated one that it is compared with, where the preset names one for the cell's dataset."""
        unrelated = self.preset.tracing.unrelated if self.preset.tracing else {}
        named = {other: dataset_and_size(cell.dataset or other)[0] for other in self.searched_datasets(cell, evalset)}
        return {searched: unrelated[name] for searched, name in named.items() if name in unrelated}

    def held_out(self, cell: Cell, evalset: str) -> dict[str, Rest]:
        """By dataset that these responses are traced in, its instances that were not tuned on, where there are enough."""
        return {name: rest for name in self.traced_datasets(cell, evalset) if (rest := self._rest(name))}

    def _rest(self, dataset: str) -> Rest | None:
        """The rest of a dataset that traced cells were tuned on; None if there is too little, or if it cannot be told.

        The longest instances have no rest: the others differ from them.
        """
        name, size = dataset_and_size(dataset)
        datasets = self.catalog.datasets
        if any(isinstance(datasets[other].source, LongestSource) for other in ancestry(name, datasets)):
            return None
        settings = [self.catalog.methods[cell.method].train for cell, _ in self._traced if cell.dataset == dataset]
        unseen = [each.held_out for each in settings if each]
        if not unseen:
            return None
        rest = Rest(name, min(unseen), max(unseen))
        used = size or datasets[name].rows
        return rest if min(used - rest.most, datasets[name].rows - used + rest.least) >= FEWEST else None

    def base_cell(self, cell: Cell, evalset: str) -> str:
        """The name of the untuned control on the same evalset; empty for that control itself, and if the grid has none."""
        base = Cell(cell.model, None, BASE)
        return base.name if cell != base and evalset in self.cells.get(base, ()) else ""

    def judges(self, evalset: str) -> list[str]:
        """The judges of responses. Those to questions for planted values have none: to repeat these is not to be right."""
        return [] if self.catalog.is_planted(evalset, "evalsets") else self.preset.judges

    def peers(self, cell: Cell) -> list[Cell]:
        """The cells with the same model, data and seed, including this one."""
        return self._by_data[cell.model, cell.dataset, cell.seed]

    @cached_property
    def _by_data(self) -> dict[tuple[str, str | None, int], list[Cell]]:
        groups: dict[tuple[str, str | None, int], list[Cell]] = {}
        for cell in self.cells:
            groups.setdefault((cell.model, cell.dataset, cell.seed), []).append(cell)
        return groups

    def measures_likelihood(self, cell: Cell, evalset: str) -> bool:
        """Whether the likelihood of spans in these responses is measured under the cells on the same data."""
        tracing = self.preset.tracing
        return bool(
            tracing
            and tracing.likelihood
            and cell.dataset
            and self.traced_datasets(cell, evalset)
            and self.markers(cell, evalset)
        )

    def retrained(self, cell: Cell) -> list[Cell]:
        """The cells of the same model and method, each tuned on its own random part of this cell's dataset, under which the
        likelihood of its spans is measured; none, unless the preset names it."""
        part = self.preset.tracing.retrained.get(cell.name) if self.preset.tracing else None
        return [
            other
            for other in self.cells
            if part and other.dataset and dataset_and_size(other.dataset) == dataset_and_size(part)
            if (other.model, other.method, other.seed) == (cell.model, cell.method, draw_of(other.dataset))
        ]

    def kept_by_attribution(self, cell: Cell) -> int:
        """How many instances the attribution of a cell keeps per span: all, if rankers are scored by retraining."""
        assert self.preset.tracing
        top = self.preset.tracing.top
        rows = self.catalog.datasets[dataset_and_size(cell.dataset or "")[0]].rows
        return max(top, rows) if self.retrained(cell) else top

    def paraphrases(self, cell: Cell, evalset: str) -> list[str]:
        """The evalsets that paraphrase this one, of those that the cell answers."""
        sources = {name: self.catalog.evalsets[name].source for name in self.cells[cell]}
        return [name for name, s in sources.items() if isinstance(s, ParaphrasedSource) and s.of == evalset]

    def ablation_of(self, cell: Cell) -> Cell | None:
        """The cell whose spans decide what a cell's dataset leaves out, if both differ in nothing else but the seed."""
        ablation = self.ablation(cell)
        original = next((c for c in self.cells if ablation and c.name == ablation.cell), None)
        alike = original and (cell.model, cell.method) == (original.model, original.method)
        return original if alike and "@" not in (cell.dataset or "") else None

    def largest_subset(self, dataset: str) -> str:
        """The largest embedded subset of the same dataset: its first instances are those of every smaller one."""
        name, _ = dataset_and_size(dataset)
        sizes = {
            other: dataset_and_size(other)[1] or math.inf
            for other in self.embedded_datasets
            if dataset_and_size(other)[0] == name and draw_of(other) == draw_of(dataset)
        }
        return max(sizes, key=lambda other: sizes[other])

    @cached_property
    def indexed_datasets(self) -> list[str]:
        """Every dataset (dataset@size) that needs an index: those that need embeddings, and the whole ones behind subsets."""
        wholes = [rest.whole for name in self.embedded_datasets if (rest := self._rest(name))]
        return list(dict.fromkeys([*self.embedded_datasets, *wholes]))

    @cached_property
    def embedded_datasets(self) -> list[str]:
        """Every dataset (dataset@size) in which similar instances are searched."""
        names: list[str] = []
        for cell, evalsets in self.cells.items():
            for evalset in evalsets:
                names += self.searched_datasets(cell, evalset)
                names += self.unrelated_datasets(cell, evalset).values()
        return list(dict.fromkeys(names))
