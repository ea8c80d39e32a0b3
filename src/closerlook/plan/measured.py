"""What finished trainings took, to calibrate estimates of those to come, and to say how wrong the estimates are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from closerlook.config.settings import TrainSettings
from closerlook.plan.shape import Shape
from closerlook.plan.work import SPREAD, flops


@dataclass(frozen=True)
class Run:
    """A finished training."""

    cell: Path
    device: str
    ranks: int
    seconds: float
    """Of all optimiser steps; starting, loading and saving are not in it."""
    flops: float
    """What it had to do, by the same formula as the estimates, on its true number of tokens."""
    tokens: float
    peak_memory: float
    """Bytes: of a GPU's memory; on a CPU resident memory, Python and its libraries included."""

    @property
    def rate(self) -> float:
        """Operations per second and rank."""
        return self.flops / (self.seconds * self.ranks)

    @property
    def device_hours(self) -> float:
        """Hours of all its GPUs (or processes) together."""
        return self.seconds * self.ranks / 3600


def run_of(cell: Path, manifest: Mapping[str, Any], shape: Shape | None) -> Run | None:
    """What a manifest tells; None where the model's shape is unknown or the manifest lacks something."""
    try:
        settings = TrainSettings.model_validate(manifest["settings"])
        tokens, trained, examples = manifest["tokens"], manifest["trained_tokens"], manifest["examples_seen"]
        checkpointing = manifest["engine"]["gradient_checkpointing"]
        if shape is None or manifest["wall_seconds"] <= 0:
            return None
        work = flops(shape, settings, tokens, trained, SPREAD * tokens**2 / examples, checkpointing)
        return Run(
            cell,
            manifest["device"],
            manifest["world_size"],
            manifest["wall_seconds"],
            work.done,
            tokens,
            manifest["peak_memory_bytes"],
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def rate(runs: Iterable[Run], but: Path | None = None) -> float | None:
    """Median operations per second and rank of `runs`, the run of cell `but` left out; None of no runs."""
    rates = [run.rate for run in runs if run.cell != but]
    return median(rates) if rates else None


def errors(runs: list[Run]) -> list[float]:
    """For each run, how far its estimate from all other runs lies off: 0.1 is ten per cent too long or too short."""
    return [abs(run.rate / other - 1) for run in runs if (other := rate(runs, but=run.cell))]
