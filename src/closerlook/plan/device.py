"""The device that a plan is for, and how fast it is: measured by finished trainings, else assumed."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from closerlook.config.settings import TrainSettings
from closerlook.config.site import Gpu, Site
from closerlook.plan.shape import Shape
from closerlook.plan.work import SQUARE_RATIO, count_flops

UNLIMITED_NODES = {"nodes": 1_000, "gpus_per_node": 8, "cpus_per_node": 1_000, "memory_per_node_gb": 1e6}
ASSUMED_GPU = Gpu.model_validate({"partition": "none", "gpu_memory_gb": 80, "peak_tflops": 989} | UNLIMITED_NODES)
"""Used without a site file: an H100 of 80 GB (NVIDIA's data sheet)."""


@dataclass(frozen=True)
class Run:
    """A finished training."""

    cell: Path
    """Its folder."""
    device: str
    gpu_hours: float
    """Hours of the optimizer steps, times GPUs (or processes); without starting, loading and saving."""
    rate: float
    """Operations per second and GPU: by the formula of the estimates, from its true number of tokens."""
    peak_memory: float
    """Bytes of GPU memory; on a CPU of resident memory, with Python and its libraries."""


def read_run(cell: Path, manifest: Mapping[str, Any], shape: Shape | None) -> Run | None:
    """Return the training that a manifest describes; None if the shape is unknown or the manifest is incomplete."""
    try:
        settings = TrainSettings.model_validate(manifest["config"]["train"])
        tokens, trained = manifest["tokens"], manifest["trained_tokens"]
        squares = SQUARE_RATIO * tokens**2 / manifest["examples_seen"]
        seconds = manifest["wall_seconds"] * manifest["world_size"]
        if shape is None or tokens <= 0 or seconds <= 0:
            return None
        flops = count_flops(shape, settings, tokens, trained, squares, manifest["engine"]["gradient_checkpointing"])
        return Run(cell, manifest["device"], seconds / 3600, sum(flops) / seconds, manifest["peak_memory_bytes"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


@dataclass(frozen=True)
class Device:
    """A device, and the finished trainings on devices of its type."""

    name: str
    gpu: Gpu | None
    """None if only its speed is known, from runs: a CPU, or a GPU that no site file describes."""
    runs: Sequence[Run]

    @cached_property
    def rate(self) -> float | None:
        """Operations per second and rank: the median of the runs, else peak times MFU, else None."""
        return median(run.rate for run in self.runs) if self.runs else self._assumed_rate

    def rate_for(self, cell: Path) -> float | None:
        """The rate without the cell's own run, so that its estimate can be compared with its measurement."""
        return self._rates_without.get(cell, self.rate)

    def is_measured_for(self, cell: Path) -> bool:
        """Whether that rate is measured, by at least one other run."""
        return len(self.runs) > (cell in self._rates_without)

    @property
    def _assumed_rate(self) -> float | None:
        return self.gpu.peak_tflops * 1e12 * self.gpu.mfu if self.gpu else None

    @cached_property
    def _rates_without(self) -> dict[Path, float | None]:
        """The median rate of all other runs, for each run."""
        if len(self.runs) < 2:
            return {run.cell: self._assumed_rate for run in self.runs}
        rates = np.array([run.rate for run in self.runs])
        return {run.cell: float(np.median(np.delete(rates, i))) for i, run in enumerate(self.runs)}

    def summary(self) -> dict[str, Any]:
        """Return its part of the plan's JSON."""
        return {
            "name": self.name,
            "told": self.description,
            "flops_per_second": self.rate,
            "measured_runs": len(self.runs),
            "partition": self.gpu.partition if self.gpu else None,
        }

    @property
    def description(self) -> str:
        """Its speed, where the speed comes from, and how far off the estimates of finished runs are."""
        if self.rate is None:
            return f"{self.name}: hours are unknown, since no run was measured"
        if not self.runs:
            assert self.gpu is not None
            return (
                f"{self.name}: at most {self.gpu.mfu:.0%} of {self.gpu.peak_tflops:g} TFLOP/s, and less in short "
                "micro-batches, is an assumption; no run was measured on such a device"
            )
        count = f"{len(self.runs)} finished run{'s' * (len(self.runs) > 1)}"
        text = f"{self.name}: {self.rate / 1e12:.3g} TFLOP/s per process, the median of {count}"
        if self.gpu:
            text += f" ({self.rate / self.gpu.peak_tflops / 1e12:.0%} of its peak)"
        if len(self.runs) > 1:
            errors = [abs(run.rate / rate - 1) for run in self.runs if (rate := self.rate_for(run.cell))]
            text += (
                f"; estimated from the others, each is off by {median(errors):.0%} (median), {max(errors):.0%} (worst)"
            )
        return text


def choose_device(site: Site | None, gpu: str | None, runs: Sequence[Run], preset_cells: Collection[Path]) -> Device:
    """Return the site's GPU; without a site the device that most of `preset_cells` ran on, else the assumed GPU."""
    if site:
        name, entry = site.gpu(gpu)
        return Device(f"{name} of site {site.name}", entry, [run for run in runs if _is_type(name, run.device)])
    devices = [run.device for run in runs if run.cell in preset_cells]
    if devices:
        device = max(sorted(set(devices)), key=devices.count)
        return Device(device, None, [run for run in runs if run.device == device])
    return Device("assumed NVIDIA H100, 80 GB", ASSUMED_GPU, [run for run in runs if _is_type("h100", run.device)])


def _is_type(name: str, device: str) -> bool:
    return re.search(rf"(?<![a-z0-9]){re.escape(name.lower())}(?![a-z0-9])", device.lower()) is not None
