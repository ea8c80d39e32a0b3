"""What of a grid is marked, traced and tested for its cause: which cells belong together, for grid.csv and the rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from closerlook.config.catalog import Catalog, ParaphrasedSource
from closerlook.config.derived import AblatedSource, AblationSettings
from closerlook.config.grid import Cell, cells_of, dataset_and_size
from closerlook.config.preset import Preset

BASE = "base"
"""The control whose answers are the untuned model's own: a chance level for what the tuned model says."""


@dataclass(frozen=True)
class Traced:
    """The cells of a preset, asked for what tracing needs to know of each."""

    preset: Preset
    catalog: Catalog
    cells: Mapping[Cell, list[str]]

    def probes(self, evalset: str) -> bool:
        """Whether an evalset is another in other words: its cells answer it, and nothing else is done with the answers."""
        return isinstance(self.catalog.evalsets[evalset].source, ParaphrasedSource)

    def ablation(self, cell: Cell) -> AblationSettings | None:
        """For a cell tuned on a dataset without some instances: which these are."""
        source = self.catalog.datasets[dataset_and_size(cell.dataset)[0]].source if cell.dataset else None
        return source.without if isinstance(source, AblatedSource) else None

    def markers(self, cell: Cell, evalset: str) -> list[str]:
        """Who marks spans in these responses. Cells of the causal test are asked for single phrases only."""
        if self.probes(evalset) or self.ablation(cell):
            return []
        return list(dict.fromkeys([*self.preset.markers, *self._own_markers.get((cell, evalset), ())]))

    @cached_property
    def _own_markers(self) -> dict[tuple[Cell, str], list[str]]:
        """Those that blocks of the grid name for their cells alone."""
        own: dict[tuple[Cell, str], list[str]] = {}
        for block in (block for block in self.preset.grid if block.markers):
            for cell in cells_of(block, self.catalog):
                for evalset in block.evalsets:
                    own.setdefault((cell, evalset), []).extend(block.markers)
        return own

    def searched(self, cell: Cell, evalset: str) -> list[str]:
        """The datasets, as in a cell's name, that these responses are traced in: the cell's own, and one to calibrate on."""
        tracing = self.preset.tracing
        if not (tracing and cell.dataset) or self.probes(evalset) or self.ablation(cell):
            return []
        name, _ = dataset_and_size(cell.dataset)
        if tracing.datasets and name not in tracing.datasets:
            return []
        other = tracing.calibrate.get(name)
        return [cell.dataset, *([other] if other else [])]

    def unrelated(self, cell: Cell) -> str:
        """The dataset that tells what words alone are found by chance; nothing where none is named."""
        if not (self.preset.tracing and cell.dataset):
            return ""
        return self.preset.tracing.unrelated.get(dataset_and_size(cell.dataset)[0], "")

    def base_cell(self, cell: Cell, evalset: str) -> str:
        """The untuned control on the same evalset, where the grid has it."""
        base = Cell(cell.model, None, BASE)
        return base.name if evalset in self.cells.get(base, ()) else ""

    def peers(self, cell: Cell) -> list[Cell]:
        """The cells tuned from the same model on the same data with the same seed, this one among them."""
        return self._by_data[cell.model, cell.dataset, cell.seed]

    @cached_property
    def _by_data(self) -> dict[tuple[str, str | None, int], list[Cell]]:
        groups: dict[tuple[str, str | None, int], list[Cell]] = {}
        for cell in self.cells:
            groups.setdefault((cell.model, cell.dataset, cell.seed), []).append(cell)
        return groups

    def _likelihood(self, cell: Cell, evalset: str) -> bool:
        tracing = self.preset.tracing
        return bool(tracing and tracing.likelihood and self.searched(cell, evalset) and self.markers(cell, evalset))

    def paraphrased(self, cell: Cell, evalset: str) -> list[str]:
        """The evalsets that this cell answers which are this one in other words."""
        sources = {name: self.catalog.evalsets[name].source for name in self.cells[cell]}
        return [name for name, s in sources.items() if isinstance(s, ParaphrasedSource) and s.of == evalset]

    def control_of(self, cell: Cell) -> Cell | None:
        """For a cell tuned without the traced instances: the one tuned without similar ones, where the grid has it."""
        ablation = self.ablation(cell)
        if ablation is None or ablation.take != "traced":
            return None
        wanted = ablation.model_copy(update={"take": "similar"})
        like = (c for c in self.cells if (c.model, c.method, c.seed) == (cell.model, cell.method, cell.seed))
        return next((c for c in like if self.ablation(c) == wanted), None)

    def columns(self, cell: Cell, evalset: str) -> dict[str, str]:
        """What grid.csv says of it; names between spaces."""
        control, ablation, searched = self.control_of(cell), self.ablation(cell), self.searched(cell, evalset)
        tested = bool(control and ablation and evalset == ablation.evalset and evalset in self.cells[control])
        return {
            "markers": " ".join(self.markers(cell, evalset)),
            "searched": " ".join(searched),
            "unrelated": self.unrelated(cell) if searched else "",
            "base_cell": self.base_cell(cell, evalset) if searched else "",
            "peers": " ".join(peer.run for peer in self.peers(cell)) if self._likelihood(cell, evalset) else "",
            "paraphrased": " ".join(self.paraphrased(cell, evalset)) if searched else "",
            "ablated": ablation.take if ablation else "",
            "ablation_of": ablation.cell if ablation and tested else "",
            "ablation_marker": ablation.marker if ablation and tested else "",
            "ablation_control": control.name if control and tested else "",
        }

    @cached_property
    def indexed(self) -> list[str]:
        """Every dataset, as in a cell's name, that something is searched in."""
        names: list[str] = []
        for cell, evalsets in self.cells.items():
            searched = [name for evalset in evalsets for name in self.searched(cell, evalset)]
            names += [*searched, *([self.unrelated(cell)] if searched and self.unrelated(cell) else [])]
        return list(dict.fromkeys(names))
