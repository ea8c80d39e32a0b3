"""After a run that failed: which cells are not whole, why, where the log is, and the command that goes on with each."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from closerlook.config.grid import Cell
from closerlook.config.load import Configuration


def unfinished(configuration: Configuration, configfiles: Sequence[str]) -> list[str]:
    """Lines for people, one cell each: the first of its files that is not there. Empty when every cell is whole."""
    preset, root = configuration.preset.preset, configuration.root
    lines = []
    for cell, evalsets in configuration.cells.items():
        for stage, file, log in stages(cell, evalsets):
            file, log = f"results/{preset}/{file}", f"results/{preset}/{log}"
            if not (root / file).exists():
                command = shlex.join(["snakemake", file, "--configfile", *configfiles])
                lines.append(f"{cell.name}: {stage}: {_reason(root / log)}\n    log: {log}\n    go on with: {command}")
                break
    return lines


def stages(cell: Cell, evalsets: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Stage, file and log of a cell, in the order they are made, relative to the results folder; a control trains nothing."""
    name, trained = cell.name, cell.dataset is not None
    if trained:
        yield "train", f"cells/{name}/manifest.json", f"logs/train/{name}.log"
    for evalset in evalsets:
        yield "generate", f"cells/{name}/{evalset}/responses.parquet", f"logs/generate/{name}/{evalset}.log"
        if trained:
            yield "shift", f"cells/{name}/{evalset}/shift.parquet", f"logs/shift/{name}/{evalset}.log"


def _reason(log: Path) -> str:
    """The log's last error, or its last line; progress bars overwrite their line, so only what came last of it counts."""
    if not log.is_file():
        return "not begun"
    text = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["stopped without a word"])[-1].removeprefix("error: ")
