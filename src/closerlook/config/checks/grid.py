"""Checks of the grid: its names, its combinations of model, dataset and method, and its judges."""

from collections.abc import Iterator

from closerlook.config.catalog import ApiModel, Catalog
from closerlook.config.derived import LongestSource
from closerlook.config.grid import Cell, cells_of, dataset_and_size, draw_of
from closerlook.config.judges import OpenAIJudge, OracleJudge
from closerlook.config.preset import Block, Preset
from closerlook.config.problems import Problem, nearest


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
    for i, name in enumerate(preset.retention):
        if name not in catalog.texts:
            yield Problem(file, f"retention[{i}]", name, f"a text: {nearest(name, catalog.texts)}")
    for b, block in enumerate(preset.grid):
        for kind in ("models", "datasets", "methods", "evalsets"):
            valid = getattr(catalog, kind)
            for i, written in enumerate(getattr(block, kind)):
                name = written.partition("@")[0] if kind == "datasets" else written
                if name not in valid:
                    yield Problem(file, f"grid[{b}].{kind}[{i}]", written, f"one of the {kind}: {nearest(name, valid)}")


def impossible_settings(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Combinations that cannot be run, once all names are known."""
    spelling_of: dict[tuple[str, int | None, int], str] = {}
    for b, block in enumerate(preset.grid):
        yield from _block_problems(block, f"grid[{b}]", spelling_of, preset, catalog, file)
    yield from _judge_problems(preset, catalog, file)
    for i, name in enumerate(preset.retention):
        if name in preset.retention[:i]:
            yield Problem(file, f"retention[{i}]", name, "each text once")


def _block_problems(
    block: Block,
    key: str,
    spelling_of: dict[tuple[str, int | None, int], str],
    preset: Preset,
    catalog: Catalog,
    file: str,
) -> Iterator[Problem]:
    trained = [method for method in block.methods if catalog.methods[method].train]
    if trained and not block.datasets:
        yield Problem(file, f"{key}.datasets", [], f"a dataset, which {', '.join(trained)} must be trained on")
    if block.datasets and not trained:
        yield Problem(file, f"{key}.datasets", block.datasets, "no dataset: controls train on none")
    retrained = set(preset.tracing.retrained.values()) if preset.tracing else set()
    if not block.evalsets and (trained != block.methods or not retrained.issuperset(block.datasets)):
        expected = (
            "an evalset; only cells that `tracing.retrained` names by their dataset are tuned and then answer nothing"
        )
        yield Problem(file, f"{key}.evalsets", [], expected)
    for i, model in enumerate(block.models):
        yield from _api_model_problems(model, trained, preset, catalog, file, f"{key}.models[{i}]")
    for i, method in enumerate(block.methods):
        settings = catalog.methods[method].train
        for model in block.models:
            if settings and settings.kind == "bias" and not catalog.models[model].biases:
                expected = (
                    f"a method that can tune {model}, which has no bias parameters "
                    f"(if it has, set models.{model}.biases in the catalog)"
                )
                yield Problem(file, f"{key}.methods[{i}]", method, expected)
    if block.redraw and not any("@" in written for written in block.datasets):
        yield Problem(file, f"{key}.redraw", True, "datasets with @size, of which each seed can draw another subset")
    held_out = {method: settings.held_out for method in trained if (settings := catalog.methods[method].train)}
    if block.sweep:
        held_out |= dict.fromkeys(block.sweep.learning_rate, block.sweep.held_out)
    for i, written in enumerate(block.datasets):
        name, _, size = written.partition("@")
        if size and (block.redraw or draw_of(written)) and isinstance(catalog.datasets[name].source, LongestSource):
            expected = f"a dataset of which several subsets can be drawn; those of {name} are its longest instances"
            yield Problem(file, f"{key}.datasets[{i}]", written, expected)
        yield from _size_problems(written, spelling_of, held_out, catalog, file, f"{key}.datasets[{i}]")
    for i, seed in enumerate(block.seeds):
        if seed < 0:
            yield Problem(file, f"{key}.seeds[{i}]", seed, "a seed of 0 or more")


def _api_model_problems(
    model: str, trained: list[str], preset: Preset, catalog: Catalog, file: str, key: str
) -> Iterator[Problem]:
    """An API model cannot be trained, and needs a judge with an endpoint."""
    source = catalog.models[model].source
    if isinstance(source, ApiModel):
        if trained:
            yield Problem(file, key, model, f"a model whose weights {', '.join(trained)} can train, not an API model")
        if not isinstance(catalog.judges[source.endpoint], OpenAIJudge):
            endpoint = f"models.{model}.source.endpoint"
            yield Problem(preset.catalog, endpoint, source.endpoint, "a judge behind an endpoint (openai)")


def _size_problems(
    written: str,
    spelling_of: dict[tuple[str, int | None, int], str],
    held_out: dict[str, int],
    catalog: Catalog,
    file: str,
    key: str,
) -> Iterator[Problem]:
    try:
        name, size = dataset_and_size(written)
    except ValueError:
        yield Problem(
            file,
            key,
            written,
            "a whole number of instances after the @, such as @500, @1k or @1.5k, then maybe the draw, such as -d2",
        )
        return
    rows = catalog.datasets[name].rows
    if size and size > rows:
        expected = f"at most {name}'s {rows:,} rows; omit @{written.partition('@')[2]} to use all of them"
        yield Problem(file, key, written, expected)
    first = spelling_of.setdefault((name, size, draw_of(written)), written)
    if first != written:
        yield Problem(file, key, written, f"the spelling {first}, which the grid uses elsewhere for the same subset")
    for method, instances in held_out.items():
        if instances >= (size or rows):
            yield Problem(file, key, written, f"more than the {instances:,} instances that {method} holds out")


def duplicate_cells(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """The first cell and evalset that the grid has twice, once its sweeps are expanded."""
    block_of: dict[tuple[Cell, str], int] = {}
    for b, block in enumerate(preset.grid):
        for cell in cells_of(block, catalog):
            for evalset in block.evalsets:
                if (first := block_of.setdefault((cell, evalset), b)) != b or _has_duplicates(block):
                    expected = f"each cell once: it is in grid[{first}] already"
                    yield Problem(file, f"grid[{b}]", f"{cell.name} on {evalset}", expected)
                    return


def _has_duplicates(block: Block) -> bool:
    return any(
        len(set(names)) < len(names)
        for names in (block.models, block.datasets, block.methods, block.seeds, block.evalsets)
    )


def _judge_problems(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """The oracle knows the truth of the miniature only, and a judge that is named twice would judge once."""
    others = {e for block in preset.grid for e in block.evalsets if not catalog.knows_truth(e)}
    for i, name in enumerate(preset.judges):
        if isinstance(catalog.judges[name], OracleJudge) and others:
            expected = f"a judge that does not need the truth, for {', '.join(sorted(others))}"
            yield Problem(file, f"judges[{i}]", name, f"{expected}: the oracle judges evalsets of the miniature only")
        if name in preset.judges[:i]:
            yield Problem(file, f"judges[{i}]", name, "each judge once")
