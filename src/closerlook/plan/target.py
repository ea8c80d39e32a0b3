"""What a plan is made for: a site's type of GPU, the device that runs were measured on, or an assumed GPU."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

from closerlook.config.site import Gpu, Site
from closerlook.plan.measured import Rates, Run

ASSUMED = Gpu(
    partition="none",
    nodes=1_000,
    gpus_per_node=8,
    cpus_per_node=1_000,
    memory_per_node_gb=1e6,
    gpu_memory_gb=80,
    peak_tflops=989,
    mfu=0.4,
    price_per_gpu_hour=None,
)
"""Stands in where no site is given: an H100 of 80 GB (NVIDIA's data sheet), on nodes that nothing else limits."""
USABLE = 0.9
"""Share of a GPU's memory that a training may fill; CUDA, NCCL and fragmentation take the rest."""


@dataclass(frozen=True)
class Target:
    """The device that a plan is for, and the finished runs on such a device."""

    name: str
    gpu: Gpu | None
    """None where only its speed is known, from runs: a CPU, or a GPU that no site file describes."""
    runs: list[Run]

    @cached_property
    def _rates(self) -> Rates:
        return Rates(self.runs)

    @property
    def bfloat16(self) -> bool:
        """Whether the precision `auto` is bfloat16 there."""
        return not self.name.startswith("CPU")

    @property
    def usable(self) -> float:
        """Bytes that a training may fill on each GPU."""
        return self.gpu.gpu_memory_gb * 1e9 * USABLE if self.gpu else float("inf")

    def rate(self, but: Path | None = None) -> float | None:
        """Operations per second and rank: measured where there are runs (without that of `but`), else peak times MFU."""
        expected = self.gpu.peak_tflops * 1e12 * self.gpu.mfu if self.gpu else None
        return self._rates.median(but) or expected

    @property
    def told(self) -> str:
        """How the rate is known, in words."""
        speed = self.rate()
        if speed is None:
            return f"{self.name}: no run was measured, so hours are unknown"
        if not self.runs:
            assert self.gpu is not None
            return (
                f"{self.name}: {self.gpu.mfu:.0%} of {self.gpu.peak_tflops:g} TFLOP/s is an assumption; "
                "no run was measured on such a device"
            )
        count = f"{len(self.runs)} finished run{'s' * (len(self.runs) > 1)}"
        text = f"{self.name}: {speed / 1e12:.3g} TFLOP/s per process, the median of {count}"
        if self.gpu:
            text += f" ({speed / self.gpu.peak_tflops / 1e12:.0%} of its peak)"
        if missed := self._rates.errors():
            text += (
                f"; estimated from the others, each is off by {median(missed):.0%} (median), {max(missed):.0%} (worst)"
            )
        return text


def choose(site: Site | None, gpu: str | None, runs: list[Run], own: set[Path]) -> Target:
    """The site's GPU; without a site the device that most of the cells `own` ran on; without those the assumed GPU."""
    if site:
        name, found = site.gpu(gpu)
        return Target(f"{name} of site {site.name}", found, [run for run in runs if _is(name, run.device)])
    devices = [run.device for run in runs if run.cell in own]
    if devices:
        device = max(sorted(set(devices)), key=devices.count)
        return Target(device, None, [run for run in runs if run.device == device])
    return Target("assumed NVIDIA H100, 80 GB", ASSUMED, [run for run in runs if _is("h100", run.device)])


def _is(name: str, device: str) -> bool:
    return re.search(rf"(?<![a-z0-9]){re.escape(name.lower())}(?![a-z0-9])", device.lower()) is not None
