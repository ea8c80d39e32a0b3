"""Which responses are marked and traced, and which cells belong together in causal tests."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from closerlook.config.catalog import Catalog, ParaphrasedSource
from closerlook.config.derived import AblatedSource, AblationSettings
from closerlook.config.grid import Cell, cells_of, dataset_and_size, draw_of
from closerlook.config.preset import Preset

BASE = "base"
"""The control whose answers are those of the untuned model: a chance level for those of a tuned one."""


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
        """The markers of these responses. Ablated cells have none, since only single phrases are looked up in their responses."""
        if self.is_paraphrase(evalset) or self.ablation(cell):
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

    def searched_datasets(self, cell: Cell, evalset: str) -> list[str]:
        """The datasets (dataset@size) that these responses are traced in: the cell's own, and maybe one to calibrate on."""
        tracing = self.preset.tracing
        if not (tracing and cell.dataset) or self.is_paraphrase(evalset) or self.ablation(cell):
            return []
        name, _ = dataset_and_size(cell.dataset)
        if tracing.datasets and name not in tracing.datasets:
            return []
        other = tracing.calibrate.get(name)
        return [cell.dataset, *([other] if other else [])]

    def unrelated_dataset(self, cell: Cell) -> str:
        """The unrelated dataset, whose rates are a chance level; empty if the preset names none."""
        if not (self.preset.tracing and cell.dataset):
            return ""
        return self.preset.tracing.unrelated.get(dataset_and_size(cell.dataset)[0], "")

    def base_cell(self, cell: Cell, evalset: str) -> str:
        """The name of the untuned control on the same evalset; empty if the grid has none."""
        base = Cell(cell.model, None, BASE)
        return base.name if evalset in self.cells.get(base, ()) else ""

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
            tracing and tracing.likelihood and self.searched_datasets(cell, evalset) and self.markers(cell, evalset)
        )

    def paraphrases(self, cell: Cell, evalset: str) -> list[str]:
        """The evalsets that paraphrase this one, of those that the cell answers."""
        sources = {name: self.catalog.evalsets[name].source for name in self.cells[cell]}
        return [name for name, s in sources.items() if isinstance(s, ParaphrasedSource) and s.of == evalset]

    def ablation_control(self, cell: Cell) -> Cell | None:
        """The control of a cell tuned without traced instances: the cell tuned without similar ones; None if there is none."""
        ablation = self.ablation(cell)
        if ablation is None or ablation.take != "traced":
            return None
        wanted = ablation.model_copy(update={"take": "similar"})
        alike = (c for c in self.cells if (c.model, c.method, c.seed) == (cell.model, cell.method, cell.seed))
        return next((c for c in alike if self.ablation(c) == wanted), None)

    def largest_subset(self, dataset: str) -> str:
        """The largest indexed subset of the same dataset: its first instances are those of every smaller one."""
        name, _ = dataset_and_size(dataset)
        sizes = {
            other: dataset_and_size(other)[1] or math.inf
            for other in self.indexed_datasets
            if dataset_and_size(other)[0] == name and draw_of(other) == draw_of(dataset)
        }
        return max(sizes, key=lambda other: sizes[other])

    @cached_property
    def indexed_datasets(self) -> list[str]:
        """Every dataset (dataset@size) that needs an index."""
        names: list[str] = []
        for cell, evalsets in self.cells.items():
            searched = [name for evalset in evalsets for name in self.searched_datasets(cell, evalset)]
            names += [*searched, *([self.unrelated_dataset(cell)] if searched and self.unrelated_dataset(cell) else [])]
        return list(dict.fromkeys(names))
