"""What finished trainings took, to calibrate estimates of those to come, and to say how wrong the estimates are."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
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
        settings = TrainSettings.model_validate(manifest["config"]["train"])
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


class Rates:
    """Operations per second and rank of some runs: their median, and quickly so with any one of them left out."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._of = {run.cell: run.rate for run in runs}
        self._sorted = sorted(self._of.values())

    def median(self, but: Path | None = None) -> float | None:
        """The median, the run of cell `but` left out; None of no runs."""
        own = self._of.get(but) if but else None
        place = len(self._sorted) if own is None else bisect_left(self._sorted, own)
        count = len(self._sorted) - (own is not None)
        middle = {(count - 1) // 2, count // 2}
        return mean(self._sorted[i + (i >= place)] for i in middle) if count else None

    def errors(self) -> list[float]:
        """For each run, how far its estimate from all others lies off: 0.1 is ten per cent too long or too short."""
        return [abs(own / other - 1) for cell, own in self._of.items() if (other := self.median(but=cell))]
