"""The stages of a cell, in the order they are made: the one place that names their files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from closerlook.config.grid import Cell

STAGES = ("train", "generate", "shift")
"""In the order they are made; judges come last."""


@dataclass(frozen=True)
class Stage:
    """One stage of one cell. Paths are relative to the results folder."""

    name: str
    """train, generate, shift, or judge-<name>, as in attempts.json: each judge is a stage of its own."""
    of: str
    """What of the cell it makes: the evalset; empty for the training."""
    file: str
    """Written last: where it is, the stage is done."""
    log: str
    folder: str
    """Holds its attempts.json and failure.json."""
    inputs: tuple[str, ...]
    """What must be there before it can start."""


def stages(cell: Cell, evalsets: Sequence[str], judges: Sequence[str]) -> Iterator[Stage]:
    """Every stage of a cell; a control trains nothing, so nothing of it shifts."""
    name, model = f"cells/{cell.name}", f"models/{cell.model}"
    manifest = f"{name}/manifest.json"
    if cell.dataset:
        data = f"data/{cell.dataset}.parquet"
        yield Stage("train", "", manifest, f"logs/train/{cell.name}.log", name, (model, data))
    for evalset in evalsets:
        folder, log = f"{name}/{evalset}", f"{cell.name}/{evalset}.log"
        responses, trained = f"{folder}/responses.parquet", (manifest,) if cell.dataset else ()
        inputs = (model, f"evalsets/{evalset}.parquet", *trained)
        yield Stage("generate", evalset, responses, f"logs/generate/{log}", folder, inputs)
        if cell.dataset:
            yield Stage("shift", evalset, f"{folder}/shift.parquet", f"logs/shift/{log}", folder, (model, responses))
        for judge in judges:
            verdicts, log = f"{folder}/verdicts", f"logs/judge/{cell.name}/{evalset}/{judge}.log"
            yield Stage(f"judge-{judge}", evalset, f"{verdicts}/{judge}.parquet", log, verdicts, (responses,))
