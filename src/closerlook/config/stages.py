"""The stages of a cell, in the order they are made: the one place that names their files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from closerlook.config.grid import Cell
from closerlook.config.load import Configuration
from closerlook.config.markers import ConsistencyMarker
from closerlook.core import layout

STAGES = ("train", "generate", "shift", "benchmarks", "retention")
"""In the order they are made; judges, markers and tracing come last."""


@dataclass(frozen=True)
class Stage:
    """One stage of one cell. Paths are relative to the results folder."""

    name: str
    """train, generate, shift, or such as judge-<name>, as in attempts.json: each judge and marker is a stage of its own."""
    of: str
    """What of the cell it makes: the evalset; empty for training and benchmarks."""
    file: str
    """Written last: where it is, the stage is done."""
    log: str
    folder: str
    """Holds its attempts.json and failure.json."""
    inputs: tuple[str, ...]
    """What must be there before it can start."""


def stages(configuration: Configuration, cell: Cell) -> Iterator[Stage]:
    """Every stage of a cell. A control trains nothing, so nothing of it shifts."""
    name, model = cell.name, layout.model(cell.model)
    trained = []
    if cell.dataset:
        data = layout.dataset(cell.dataset)
        yield _stage("train", "", layout.manifest(name), layout.log("train", name), model, data)
        trained = [layout.manifest(name)]
    if tasks := configuration.benchmarked(cell):
        log = layout.log("benchmarks", name)
        yield _stage("benchmarks", "", layout.benchmark(name, tasks[-1]), log, model, *trained)
    if texts := configuration.retained(cell):
        inputs = (model, *map(layout.text, texts), *trained)
        yield _stage("retention", "", layout.retention(name, texts[-1]), layout.log("retention", name), *inputs)
    for evalset in configuration.cells[cell]:
        responses = layout.responses(name, evalset)
        inputs = (model, layout.evalset(evalset), *trained)
        yield _stage("generate", evalset, responses, layout.log("generate", name, evalset), *inputs)
        if configuration.traced.is_paraphrase(evalset):
            continue
        if cell.dataset:
            log = layout.log("shift", name, evalset)
            yield _stage("shift", evalset, layout.shift(name, evalset), log, model, responses)
        for judge in configuration.traced.judges(evalset):
            log = layout.log("judge", name, evalset, judge)
            yield _stage(f"judge-{judge}", evalset, layout.verdicts(name, evalset, judge), log, responses)
        yield from _tracing(configuration, cell, evalset)


def _tracing(configuration: Configuration, cell: Cell, evalset: str) -> Iterator[Stage]:
    """Which spans are hallucinated, and where they can have come from."""
    lineage, tracing, catalog = configuration.traced, configuration.preset.tracing, configuration.catalog
    at = (cell.name, evalset)
    responses, shift = layout.responses(*at), layout.shift(*at)
    markers = lineage.markers(cell, evalset)
    spans = [layout.spans(*at, marker) for marker in markers]

    def by_marker(stage: str, marker: str, file: str, *inputs: str) -> Stage:
        return _stage(f"{stage}-{marker}", evalset, file, layout.log(stage, *at, marker), *inputs)

    for marker, marked in zip(markers, spans, strict=True):
        inputs = [responses]
        if isinstance(catalog.markers[marker], ConsistencyMarker):
            samples = by_marker("samples", marker, layout.samples(*at, marker), responses)
            inputs.append(samples.file)
            yield samples
        yield by_marker("spans", marker, marked, *inputs)
    if not (traced := lineage.traced_datasets(cell, evalset)) or tracing is None:
        return
    inputs = [*([shift] if cell.dataset else []), *map(layout.index, traced)]
    if cell.dataset:
        yield _stage("words", evalset, layout.words(*at), layout.log("words", *at), *inputs)
    yield _stage("borrowing", evalset, layout.borrowing(*at), layout.log("borrowing", *at), *inputs, *spans)
    for marker, marked in zip(markers, spans, strict=True):
        attributed = [layout.attribution(*at, marker)] if cell.name in tracing.attribution else []
        yield from (by_marker("attribution", marker, file, marked) for file in attributed)
        yield by_marker("trace", marker, layout.trace(*at, marker), marked, *attributed, *inputs)
        if lineage.measures_likelihood(cell, evalset):
            yield by_marker("likelihood", marker, layout.likelihood(*at, marker), marked)
        if retrained := lineage.retrained(cell):
            needed = (marked, *attributed, *map(layout.index, traced))
            yield by_marker("instance_scores", marker, layout.instance_scores(*at, marker), *needed)
            trained = (layout.manifest(other.name) for other in retrained)
            yield by_marker("retrained", marker, layout.retrained(*at, marker), marked, *trained)


def _stage(name: str, of: str, file: str, log: str, *inputs: str) -> Stage:
    return Stage(name, of, file, log, str(PurePosixPath(file).parent), inputs)
