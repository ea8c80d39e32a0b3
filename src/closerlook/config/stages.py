"""The stages of a cell, in the order they are made: the one place that names their files."""

from collections.abc import Iterator
from dataclasses import dataclass

from closerlook.config.grid import Cell
from closerlook.config.load import Configuration
from closerlook.config.markers import ConsistencyMarker

STAGES = ("train", "generate", "shift")
"""In the order they are made; judges, markers and tracing come last."""


@dataclass(frozen=True)
class Stage:
    """One stage of one cell. Paths are relative to the results folder."""

    name: str
    """train, generate, shift, or such as judge-<name>, as in attempts.json: each judge and marker is a stage of its own."""
    of: str
    """What of the cell it makes: the evalset; empty for the training."""
    file: str
    """Written last: where it is, the stage is done."""
    log: str
    folder: str
    """Holds its attempts.json and failure.json."""
    inputs: tuple[str, ...]
    """What must be there before it can start."""


def stages(configuration: Configuration, cell: Cell) -> Iterator[Stage]:
    """Every stage of a cell. A control trains nothing, so nothing of it shifts or can come from data."""
    name, model = f"cells/{cell.name}", f"models/{cell.model}"
    manifest = f"{name}/manifest.json"
    if cell.dataset:
        data = f"data/{cell.dataset}.parquet"
        yield Stage("train", "", manifest, f"logs/train/{cell.name}.log", name, (model, data))
    for evalset in configuration.cells[cell]:
        folder, log = f"{name}/{evalset}", f"{cell.name}/{evalset}.log"
        responses, trained = f"{folder}/responses.parquet", (manifest,) if cell.dataset else ()
        inputs = (model, f"evalsets/{evalset}.parquet", *trained)
        yield Stage("generate", evalset, responses, f"logs/generate/{log}", folder, inputs)
        if configuration.traced.is_paraphrase(evalset):
            continue
        if cell.dataset:
            yield Stage("shift", evalset, f"{folder}/shift.parquet", f"logs/shift/{log}", folder, (model, responses))
        for judge in configuration.preset.judges:
            yield _stage("judge", "verdicts", judge, cell, evalset, responses)
        yield from _tracing(configuration, cell, evalset)


def _tracing(configuration: Configuration, cell: Cell, evalset: str) -> Iterator[Stage]:
    """Which spans are hallucinated, and where they can have come from."""
    traced, tracing, catalog = configuration.traced, configuration.preset.tracing, configuration.catalog
    folder = f"cells/{cell.name}/{evalset}"
    responses, shift = f"{folder}/responses.parquet", f"{folder}/shift.parquet"
    marked = []
    for marker in traced.markers(cell, evalset):
        samples = []
        if isinstance(catalog.markers[marker], ConsistencyMarker):
            samples.append(_stage("samples", "samples", marker, cell, evalset, responses))
            yield samples[0]
        marked.append(_stage("spans", "spans", marker, cell, evalset, responses, *(one.file for one in samples)))
        yield marked[-1]
    if not (searched := traced.searched_datasets(cell, evalset)) or tracing is None:
        return
    index = f"data/index/{searched[0]}"
    for what in ("words", "borrowing"):
        log, file = f"logs/{what}/{cell.name}/{evalset}.log", f"{folder}/{what}.parquet"
        spans = [one.file for one in marked] if what == "borrowing" else []
        yield Stage(what, evalset, file, log, folder, (shift, index, *spans))
    for marker, spanned in zip(traced.markers(cell, evalset), marked, strict=True):
        if cell.name in tracing.attribution:
            yield _stage("attribution", "attribution", marker, cell, evalset, spanned.file)
        yield _stage("trace", "trace", marker, cell, evalset, spanned.file, index)
        if tracing.likelihood:
            yield _stage("likelihood", "likelihood", marker, cell, evalset, spanned.file)


def _stage(stage: str, folder: str, by: str, cell: Cell, evalset: str, *inputs: str) -> Stage:
    """A stage that each judge or marker has one of, with a file of its own in one folder."""
    made, log = f"cells/{cell.name}/{evalset}/{folder}", f"logs/{stage}/{cell.name}/{evalset}/{by}.log"
    return Stage(f"{stage}-{by}", evalset, f"{made}/{by}.parquet", log, made, inputs)
