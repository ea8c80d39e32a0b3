"""The grid: which cells a preset asks for, and everything about them that can be refused before a job starts."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from closerlook.config.catalog import ApiModel, Catalog
from closerlook.config.derived import SimplifiedSource
from closerlook.config.judges import OpenAIJudge, OracleJudge
from closerlook.config.preset import Block, Preset
from closerlook.config.problems import Problem, nearest

NO_DATASET = "none"
"""Stands for the dataset in the name of a control, which has none."""


@dataclass(frozen=True)
class Cell:
    """One model x dataset@size x method x seed. `dataset` is as written in the grid (alpaca@1k); None for a control."""

    model: str
    dataset: str | None
    method: str
    seed: int = 0

    @property
    def run(self) -> str:
        """Last part of the name: the method, and the seed where it is not 0."""
        return f"{self.method}-s{self.seed}" if self.seed else self.method

    @property
    def name(self) -> str:
        """The cell's name, which is also its path under cells/."""
        return f"{self.model}/{self.dataset or NO_DATASET}/{self.run}"


def dataset_and_size(reference: str) -> tuple[str, int | None]:
    """Split `alpaca@1k` into ("alpaca", 1000); no size is the whole dataset. Raises ValueError for a size that is none."""
    name, at, written = reference.partition("@")
    if not at:
        return name, None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(k|m)?", written, re.IGNORECASE)
    size = float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[(match[2] or "").lower()] if match else 0
    if size < 1 or size != int(size):
        raise ValueError(f"{written} is not a size")
    return name, int(size)


def expand(preset: Preset, catalog: Catalog) -> dict[Cell, list[str]]:
    """Every cell of the grid with its evalsets, in the order written."""
    cells: dict[Cell, list[str]] = {}
    for block in preset.grid:
        for cell in cells_of(block, catalog):
            cells.setdefault(cell, []).extend(block.evalsets)
    return cells


def cells_of(block: Block, catalog: Catalog) -> Iterator[Cell]:
    """The cells of one block. A control stands once per model: it has no dataset, and nothing in it is drawn."""
    for model in block.models:
        for method in block.methods:
            if catalog.methods[method].train is None:
                yield Cell(model, None, method)
            else:
                for dataset in block.datasets:
                    for seed in block.seeds:
                        yield Cell(model, dataset, method, seed)


def originals(cells: Iterable[Cell], catalog: Catalog) -> dict[Cell, Cell]:
    """For a cell tuned on a simplified dataset, the one that differs only in that its dataset is not, where the grid has it."""
    trained = {(c.model, *dataset_and_size(c.dataset), c.method, c.seed): c for c in cells if c.dataset}
    found = {}
    for (model, name, size, method, seed), cell in trained.items():
        source = catalog.datasets[name].source
        if isinstance(source, SimplifiedSource) and (original := trained.get((model, source.of, size, method, seed))):
            found[cell] = original
    return found


def unknown_names(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Names that the catalog does not have."""
    if preset.template not in catalog.templates:
        yield Problem(file, "template", preset.template, f"a template: {nearest(preset.template, catalog.templates)}")
    for name, method in catalog.methods.items():
        if method.template and method.template not in catalog.templates:
            expected = f"a template: {nearest(method.template, catalog.templates)}"
            yield Problem(preset.catalog, f"methods.{name}.template", method.template, expected)
    for name, model in catalog.models.items():
        if isinstance(model.source, ApiModel) and model.source.endpoint not in catalog.judges:
            expected = f"a judge: {nearest(model.source.endpoint, catalog.judges)}"
            yield Problem(preset.catalog, f"models.{name}.source.endpoint", model.source.endpoint, expected)
    for i, name in enumerate(preset.judges):
        if name not in catalog.judges:
            yield Problem(file, f"judges[{i}]", name, f"a judge: {nearest(name, catalog.judges)}")
    for b, block in enumerate(preset.grid):
        for kind in ("models", "datasets", "methods", "evalsets"):
            valid = getattr(catalog, kind)
            for i, written in enumerate(getattr(block, kind)):
                name = written.partition("@")[0] if kind == "datasets" else written
                if name not in valid:
                    yield Problem(file, f"grid[{b}].{kind}[{i}]", written, f"one of the {kind}: {nearest(name, valid)}")


def impossible(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """What names are combined to that cannot be, once all are known."""
    yield from _uncombinable(preset, catalog, file)
    yield from _twice(preset, catalog, file)
    yield from _unjudged(preset, catalog, file)


def _uncombinable(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    spelled: dict[tuple[str, int | None], str] = {}
    for b, block in enumerate(preset.grid):
        trained = [method for method in block.methods if catalog.methods[method].train]
        if trained and not block.datasets:
            yield Problem(file, f"grid[{b}].datasets", [], f"a dataset, which {', '.join(trained)} must be trained on")
        if block.datasets and not trained:
            yield Problem(file, f"grid[{b}].datasets", block.datasets, "no dataset: controls train on none")
        for i, model in enumerate(block.models):
            here = Problem(file, f"grid[{b}].models[{i}]", model, "")
            yield from _bad_endpoint(model, trained, preset, catalog, here)
        for i, method in enumerate(block.methods):
            settings = catalog.methods[method].train
            for model in block.models:
                if settings and settings.kind == "bias" and not catalog.models[model].biases:
                    yield Problem(
                        file,
                        f"grid[{b}].methods[{i}]",
                        method,
                        f"a method that {model} can be tuned with: it has no bias parameters "
                        f"(set models.{model}.biases in the catalog if it has)",
                    )
        for i, written in enumerate(block.datasets):
            yield from _bad_size(written, spelled, catalog, file, f"grid[{b}].datasets[{i}]")
            yield from _all_held_out(written, trained, catalog, file, f"grid[{b}].datasets[{i}]")
        for i, seed in enumerate(block.seeds):
            if seed < 0:
                yield Problem(file, f"grid[{b}].seeds[{i}]", seed, "a seed of 0 or more")


def _bad_endpoint(model: str, trained: list[str], preset: Preset, catalog: Catalog, here: Problem) -> Iterator[Problem]:
    """What is behind an endpoint can be asked, and no more than that."""
    source = catalog.models[model].source
    if isinstance(source, ApiModel):
        if trained:
            expected = f"a model whose weights {', '.join(trained)} can train: it is behind an endpoint"
            yield replace(here, expected=expected)
        if not isinstance(catalog.judges[source.endpoint], OpenAIJudge):
            key = f"models.{model}.source.endpoint"
            yield Problem(preset.catalog, key, source.endpoint, "a judge behind an endpoint (openai)")


def _unjudged(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """The oracle knows the truth of the miniature alone; and a judge named twice would judge once."""
    others = {e for block in preset.grid for e in block.evalsets if not catalog.knows_truth(e)}
    for i, name in enumerate(preset.judges):
        if isinstance(catalog.judges[name], OracleJudge) and others:
            expected = f"a judge that needs no truth to compare with, as for {', '.join(sorted(others))}"
            yield Problem(file, f"judges[{i}]", name, f"{expected}: the oracle judges evalsets of the miniature only")
        if name in preset.judges[:i]:
            yield Problem(file, f"judges[{i}]", name, "each judge once")


def _bad_size(
    written: str, spelled: dict[tuple[str, int | None], str], catalog: Catalog, file: str, key: str
) -> Iterator[Problem]:
    try:
        name, size = dataset_and_size(written)
    except ValueError:
        yield Problem(file, key, written, "a whole number of instances behind the @, such as @500, @1k or @1.5k")
        return
    rows = catalog.datasets[name].rows
    if size and size > rows:
        yield Problem(
            file,
            key,
            written,
            f"at most {name}'s {rows:,} rows; leave @{written.partition('@')[2]} out for all of them",
        )
    first = spelled.setdefault((name, size), written)
    if first != written:
        yield Problem(
            file, key, written, f"the spelling {first}, which is used elsewhere in the grid for the same subset"
        )


def _all_held_out(written: str, trained: list[str], catalog: Catalog, file: str, key: str) -> Iterator[Problem]:
    try:
        name, size = dataset_and_size(written)
    except ValueError:
        return  # said already
    for method in trained:
        settings = catalog.methods[method].train
        if settings and settings.held_out >= (size or catalog.datasets[name].rows):
            yield Problem(file, key, written, f"more than the {settings.held_out:,} instances that {method} holds out")


def _twice(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    seen: dict[tuple[Cell, str], int] = {}
    for b, block in enumerate(preset.grid):
        for cell in cells_of(block, catalog):
            for evalset in block.evalsets:
                if (first := seen.setdefault((cell, evalset), b)) != b or _repeated(block):
                    yield Problem(
                        file,
                        f"grid[{b}]",
                        f"{cell.name} on {evalset}",
                        f"each cell once: it is in grid[{first}] already",
                    )
                    return


def _repeated(block: Block) -> bool:
    return any(
        len(set(names)) < len(names)
        for names in (block.models, block.datasets, block.methods, block.seeds, block.evalsets)
    )
