"""Checks of markers, tracing, paraphrased evalsets and ablated datasets."""

from collections.abc import Iterator, Mapping

from closerlook.config.catalog import ApiModel, Catalog, ParaphrasedSource
from closerlook.config.derived import AblatedSource
from closerlook.config.grid import Cell, dataset_and_size, draw_of, expand
from closerlook.config.judges import OpenAIJudge, OracleJudge
from closerlook.config.lineage import Lineage
from closerlook.config.markers import ConsistencyMarker, JudgeMarker, OracleMarker
from closerlook.config.preset import Preset
from closerlook.config.problems import Problem, nearest

FEWEST_RETRAINED = 8
"""Trainings on parts of a dataset from which on rank correlations over them say anything."""


def unknown_names(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Names that the catalog does not have."""
    for key, name in _marker_names(preset):
        if name not in catalog.markers:
            yield Problem(file, key, name, f"a marker: {nearest(name, catalog.markers)}")
    for i, name in enumerate(preset.tracing.datasets if preset.tracing else []):
        if name not in catalog.datasets:
            yield Problem(file, f"tracing.datasets[{i}]", name, f"a dataset: {nearest(name, catalog.datasets)}")
    for cell, part in preset.tracing.retrained.items() if preset.tracing else ():
        if (name := part.partition("@")[0]) not in catalog.datasets:
            yield Problem(file, f"tracing.retrained.{cell}", part, f"a dataset: {nearest(name, catalog.datasets)}")
    for name, marker in catalog.markers.items():
        if isinstance(marker, JudgeMarker) and marker.judge not in catalog.judges:
            expected = f"a judge: {nearest(marker.judge, catalog.judges)}"
            yield Problem(preset.catalog, f"markers.{name}.judge", marker.judge, expected)
    for name, evalset in catalog.evalsets.items():
        if isinstance(source := evalset.source, ParaphrasedSource):
            key = f"evalsets.{name}.source"
            if source.of not in catalog.evalsets:
                expected = f"an evalset: {nearest(source.of, catalog.evalsets)}"
                yield Problem(preset.catalog, f"{key}.of", source.of, expected)
            if source.paraphrase.by not in catalog.judges:
                expected = f"a judge: {nearest(source.paraphrase.by, catalog.judges)}"
                yield Problem(preset.catalog, f"{key}.paraphrase.by", source.paraphrase.by, expected)
    for key, pairs in _dataset_pairs(preset).items():
        for dataset, other in pairs.items():
            for name in (dataset, other):
                if name not in catalog.datasets:
                    expected = f"a dataset: {nearest(name, catalog.datasets)}"
                    yield Problem(file, f"tracing.{key}.{dataset}", name, expected)
            if dataset == other:
                yield Problem(file, f"tracing.{key}.{dataset}", other, "another dataset")


def impossible_settings(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    """Settings that cannot be run, once all names are known."""
    cells = expand(preset, catalog)
    yield from _marker_problems(preset, catalog, file)
    yield from _paraphrase_problems(preset, catalog, file)
    used = {dataset_and_size(cell.dataset)[0] for cell in cells if cell.dataset}
    for name in sorted(used):
        if isinstance(catalog.datasets[name].source, AblatedSource):
            yield from _ablation_problems(name, preset, catalog, cells)
    lineage = Lineage(preset, catalog, cells)
    for cell, evalsets in cells.items():
        if isinstance(catalog.models[cell.model].source, ApiModel):
            for name in {name for evalset in evalsets for name in lineage.markers(cell, evalset)}:
                if isinstance(catalog.markers[name], ConsistencyMarker):
                    expected = f"a marker that samples no answers, since {cell.model} is an API model"
                    yield Problem(file, "markers", name, expected)
    traced = [
        cell.name
        for cell, evalsets in cells.items()
        if cell.dataset and any(lineage.traced_datasets(cell, evalset) for evalset in evalsets)
    ]
    for i, name in enumerate(preset.tracing.attribution if preset.tracing else []):
        if name not in traced:
            yield Problem(file, f"tracing.attribution[{i}]", name, f"a traced cell: {nearest(name, traced)}")
    yield from _retraining_problems(preset, catalog, file, lineage, traced)
    for key, pairs in _dataset_pairs(preset).items():
        for name in pairs:
            if name not in used:
                yield Problem(file, f"tracing.{key}", name, f"a dataset of the grid: {nearest(name, used)}")


def _marker_names(preset: Preset) -> Iterator[tuple[str, str]]:
    """Every marker that a preset names, as (key, name)."""
    yield from ((f"markers[{i}]", name) for i, name in enumerate(preset.markers))
    for b, block in enumerate(preset.grid):
        yield from ((f"grid[{b}].markers[{i}]", name) for i, name in enumerate(block.markers))


def _dataset_pairs(preset: Preset) -> dict[str, dict[str, str]]:
    tracing = preset.tracing
    return {"unrelated": tracing.unrelated, "calibrate": tracing.calibrate} if tracing else {}


def _retraining_problems(
    preset: Preset, catalog: Catalog, file: str, lineage: Lineage, traced: list[str]
) -> Iterator[Problem]:
    """The cells under which spans are measured must differ in the random part of the spans' dataset, and in nothing else."""
    cells = {cell.name: cell for cell in lineage.cells}
    for name, part in preset.tracing.retrained.items() if preset.tracing else ():
        key, whole = f"tracing.retrained.{name}", cells[name].dataset if name in cells else None
        if name not in traced or not whole:
            yield Problem(file, "tracing.retrained", name, f"a traced cell: {nearest(name, traced)}")
            continue
        settings, rows = catalog.methods[cells[name].method].train, catalog.datasets[dataset_and_size(whole)[0]].rows
        if "@" in whole or (settings and settings.held_out):
            yield Problem(
                file, "tracing.retrained", name, "a cell that is tuned on a whole dataset, and holds out nothing"
            )
        elif not _is_part(part, whole, rows):
            expected = f"a part of {whole}, which {name} is tuned on, such as {whole}@{rows // 2}"
            yield Problem(file, key, part, expected)
        elif (found := len(lineage.retrained(cells[name]))) < FEWEST_RETRAINED:
            expected = (
                f"a part of which {cells[name].method} is tuned on at least {FEWEST_RETRAINED} draws in the grid, not {found}: "
                "a block with as many seeds and `redraw: true`"
            )
            yield Problem(file, key, part, expected)
        if not any(lineage.markers(cells[name], evalset) for evalset in lineage.cells[cells[name]]):
            yield Problem(file, "tracing.retrained", name, "a cell whose spans a marker marks")


def _is_part(part: str, whole: str, rows: int) -> bool:
    """Whether a part is written as a size of a dataset, less than all of it, of which each seed can draw another."""
    try:
        name, size = dataset_and_size(part)
    except ValueError:
        return False
    return name == whole and not draw_of(part) and 0 < (size or 0) < rows


def _marker_problems(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    real = sorted({e for block in preset.grid for e in block.evalsets if not catalog.knows_truth(e)})
    for i, name in enumerate(preset.markers):
        if name in preset.markers[:i]:
            yield Problem(file, f"markers[{i}]", name, "each marker once")
    for key, name in _marker_names(preset):
        marker = catalog.markers[name]
        if isinstance(marker, OracleMarker) and real:
            expected = f"a marker that does not need the truth, for {', '.join(real)}"
            yield Problem(file, key, name, f"{expected}: the oracle marks evalsets of the miniature only")
        if isinstance(marker, JudgeMarker) and not isinstance(catalog.judges[marker.judge], OpenAIJudge):
            expected = "a judge behind an endpoint (openai)"
            yield Problem(preset.catalog, f"markers.{name}.judge", marker.judge, expected)


def _paraphrase_problems(preset: Preset, catalog: Catalog, file: str) -> Iterator[Problem]:
    for b, block in enumerate(preset.grid):
        for i, name in enumerate(block.evalsets):
            source = catalog.evalsets[name].source
            if not isinstance(source, ParaphrasedSource):
                continue
            key = f"evalsets.{name}.source"
            if isinstance(catalog.evalsets[source.of].source, ParaphrasedSource):
                expected = "an evalset that is not a paraphrase itself"
                yield Problem(preset.catalog, f"{key}.of", source.of, expected)
            elif source.of not in block.evalsets:
                expected = f"{source.of} in the same block, whose answers it is compared with"
                yield Problem(file, f"grid[{b}].evalsets[{i}]", name, expected)
            by = catalog.judges[source.paraphrase.by]
            if not (isinstance(by, OpenAIJudge) or (isinstance(by, OracleJudge) and catalog.knows_truth(name))):
                expected = "a judge behind an endpoint (openai); the oracle knows the wordings of the miniature only"
                yield Problem(preset.catalog, f"{key}.paraphrase.by", source.paraphrase.by, expected)


def _ablation_problems(
    name: str, preset: Preset, catalog: Catalog, cells: Mapping[Cell, list[str]]
) -> Iterator[Problem]:
    """The spans that decide which instances are left out must be traced by the same grid."""
    source = catalog.datasets[name].source
    assert isinstance(source, AblatedSource)
    settings, key = source.without, f"datasets.{name}.source"
    by_name = {cell.name: cell for cell in cells}
    cell = by_name.get(settings.cell)
    if cell is None or cell.dataset is None:
        trained = [name for name, cell in by_name.items() if cell.dataset]
        expected = f"a tuned cell of the grid: {nearest(settings.cell, trained)}"
        yield Problem(preset.catalog, f"{key}.without.cell", settings.cell, expected)
        return
    if dataset_and_size(cell.dataset)[0] != source.of:
        yield Problem(preset.catalog, f"{key}.of", source.of, f"{cell.dataset}, which {cell.name} is tuned on")
    if settings.evalset not in cells[cell]:
        expected = f"an evalset that {cell.name} answers: {nearest(settings.evalset, cells[cell])}"
        yield Problem(preset.catalog, f"{key}.without.evalset", settings.evalset, expected)
        return
    lineage = Lineage(preset, catalog, cells)
    marked = lineage.markers(cell, settings.evalset)
    if settings.marker not in marked:
        expected = f"a marker of {cell.name}: {nearest(settings.marker, marked)}"
        yield Problem(preset.catalog, f"{key}.without.marker", settings.marker, expected)
    elif not lineage.traced_datasets(cell, settings.evalset):
        yield Problem(preset.catalog, f"{key}.without.cell", settings.cell, "a cell that the preset's `tracing` traces")
    elif preset.tracing and settings.candidates > preset.tracing.top:
        expected = f"at most the {preset.tracing.top} candidates that `tracing.top` of the preset keeps"
        yield Problem(preset.catalog, f"{key}.without.candidates", settings.candidates, expected)
    if settings.take == "half" and settings.candidates == 1:
        expected = "at least 2, so that half of a span's instances can be left out"
        yield Problem(preset.catalog, f"{key}.without.candidates", settings.candidates, expected)
    if catalog.datasets[name].rows > catalog.datasets[source.of].rows:
        expected = f"at most the {catalog.datasets[source.of].rows:,} rows of {source.of}"
        yield Problem(preset.catalog, f"datasets.{name}.rows", catalog.datasets[name].rows, expected)
