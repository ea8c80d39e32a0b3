"""What a job asks Slurm for: it follows from the model, the method, the site, and what became of earlier attempts."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from closerlook.cluster.adoption import adopted_job
from closerlook.cluster.attempts import FINAL, Attempt, count, folder_of, read, since_success
from closerlook.config.catalog import GenerateLaunch, Launch
from closerlook.config.grid import Cell
from closerlook.config.judges import LocalJudge
from closerlook.config.load import Configuration
from closerlook.config.problems import Problem, nearest
from closerlook.config.site import Gpu, Site
from closerlook.plan.cells import Planner
from closerlook.plan.target import choose

Resources = dict[str, int | str | None]
"""Snakemake's names of resources; None for one that is not asked for."""
NAMES = (
    "slurm_partition",
    "slurm_account",
    "slurm_extra",
    "nodes",
    "gres",
    "mpi",
    "tasks",
    "tasks_per_node",
    "tasks_per_gpu",
    "mem_mb",
    "runtime",
    "gpus_in_use",
    "halvings",
    "tries",
)
LOCAL_NAMES = ("halvings", "tries")
"""Those that mean something where no site is."""
MARGIN, START_HOURS = 3.0, 0.5
"""A time limit is so much longer than the plan's estimate: that is rough, and a job that ends early costs nothing."""


class ResourcePlanner:
    """Works out the resources of a configuration's jobs on a site; without a site, only what any machine needs to know."""

    def __init__(self, configuration: Configuration, site: Site | None) -> None:
        self.configuration, self.site = configuration, site
        self._planners: dict[str | None, Planner] = {}

    def train(self, cell: Cell, tries: int) -> Resources:
        """Of a cell's training."""
        launch = self._launch(cell)
        folder = self._folder(cell)
        hours = launch.hours
        if hours is None and self.site and (estimate := self._estimated_hours(cell)):
            hours = MARGIN * estimate + START_HOURS
        return self._gpu_job(folder, "train", launch, hours, tries)

    def evaluate(self, cell: Cell, folder: str, stage: str, tries: int) -> Resources:
        """Of what runs a cell's model on an evalset and writes into a folder of the cell."""
        launch = self.configuration.catalog.models[cell.model].generate
        return self._gpu_job(self._folder(cell) / folder, stage, launch, launch.hours, tries)

    def judge(self, cell: Cell, evalset: str, judge: str, tries: int) -> Resources:
        """Of a judge that scores a cell's responses: a chat model needs a GPU, an oracle needs none."""
        folder, stage = self._folder(cell) / evalset / "verdicts", f"judge-{judge}"
        entry = self.configuration.catalog.judges[judge]
        if isinstance(entry, LocalJudge):
            return self._gpu_job(folder, stage, GenerateLaunch(gpu=entry.gpu, hours=entry.hours), entry.hours, tries)
        return self.watched(hours=1, gigabytes=4, tries=tries)

    def watched(self, hours: float, gigabytes: float, tries: int) -> Resources:
        """Of a job without a GPU that its supervisor keeps account of."""
        return {"halvings": 0, "tries": tries} | self.cpu(hours, gigabytes)

    def cpu(self, hours: float, gigabytes: float) -> Resources:
        """Of a job without a GPU."""
        if self.site is None:
            return {}
        return {
            "slurm_partition": self.site.cpu_partition,
            "slurm_account": self.site.account,
            "mem_mb": math.ceil(gigabytes * 1000),
            "runtime": _minutes(hours),
        }

    def _gpu_job(
        self, folder: Path, stage: str, launch: Launch | GenerateLaunch, hours: float | None, tries: int
    ) -> Resources:
        earlier = since_success(read(folder, stage))
        known: Resources = {"halvings": count(earlier, "out of memory"), "tries": tries}
        if self.site is None:
            return known
        if tries > 1 and earlier and earlier[-1].reason in FINAL:
            return known | self.cpu(0.1, 1)  # it will only say that it is not tried again, and needs no GPU for that
        name, gpu = self.site.gpu(launch.gpu)
        spread = launch.gpus if isinstance(launch, GenerateLaunch) else 1
        nodes, per_node = layout(launch.ranks, gpu, spread)
        longer = (hours or gpu.max_hours) * 2 ** count(earlier, "time limit")
        several = launch.ranks > 1
        return known | {
            "slurm_partition": gpu.partition,
            "slurm_account": self.site.account,
            "slurm_extra": self._extra(folder_of(folder, stage), earlier, tries),
            "nodes": nodes,
            "gres": self.site.gres(name, per_node * spread),
            # With `mpi` the job's own command calls srun, one task per rank; without it Snakemake does, for one task in all.
            "mpi": "srun" if several else None,
            "tasks_per_node": per_node if per_node > 1 else None,
            "tasks": nodes if several and per_node == 1 else None,
            "tasks_per_gpu": 0 if several or spread > 1 else None,
            "mem_mb": math.floor(gpu.memory_per_node_gb * 1000 * per_node * spread / gpu.gpus_per_node),
            "runtime": _minutes(min(longer, gpu.max_hours)),
            "gpus_in_use": launch.ranks * spread,
        }

    def _extra(self, records: Path, earlier: Sequence[Attempt], tries: int) -> str:
        assert self.site is not None
        options = [f"--signal=USR2@{self.site.notice_seconds}"]
        failed = [attempt.failed_nodes for attempt in earlier if attempt.failed_nodes]
        if failed and tries > 1:  # only within one run of Snakemake: a node may be well again another day
            options.append(f"--exclude={','.join(dict.fromkeys(failed))}")
        if job := adopted_job(records):
            options.append(f"--dependency=afterany:{job}")
        return " ".join(options)

    def _launch(self, cell: Cell) -> Launch:
        return self.configuration.catalog.models[cell.model].launch_of(self.configuration.train_settings(cell).kind)

    def _folder(self, cell: Cell) -> Path:
        return self.configuration.root / "results" / self.configuration.preset.preset / "cells" / cell.name

    def _estimated_hours(self, cell: Cell) -> float | None:
        gpu = self._launch(cell).gpu
        if gpu not in self._planners:
            results = self.configuration.root / "results" / self.configuration.preset.preset
            self._planners[gpu] = Planner(self.configuration, results, choose(self.site, gpu, [], set()), {}, {})
        return self._planners[gpu].row(cell, []).hours


def layout(ranks: int, gpu: Gpu, spread: int = 1) -> tuple[int, int]:
    """Nodes, and ranks on each: as few nodes as hold them. `spread`: GPUs of each rank, all on one node."""
    nodes = math.ceil(ranks / max(1, gpu.gpus_per_node // spread))
    return nodes, ranks // nodes


def problems(configuration: Configuration, site: Site, file: str) -> Iterator[Problem]:
    """Launches that the site cannot give; `file` is where the catalog's entries are overridden or written."""
    for model in dict.fromkeys(cell.model for cell in configuration.cells):
        entry = configuration.catalog.models[model]
        launches: dict[str, Launch | GenerateLaunch] = {f"launch.{kind}": one for kind, one in entry.launch.items()}
        for where, launch in [*launches.items(), ("generate", entry.generate)]:
            key = f"models.{model}.{where}"
            if launch.gpu and launch.gpu not in site.gpus:
                known = nearest(launch.gpu, site.gpus)
                yield Problem(file, f"{key}.gpu", launch.gpu, f"a type of GPU of site {site.name}: {known}")
                continue
            name, gpu = site.gpu(launch.gpu)
            spread = launch.gpus if isinstance(launch, GenerateLaunch) else 1
            if spread > gpu.gpus_per_node:
                yield Problem(file, f"{key}.gpus", spread, f"at most {gpu.gpus_per_node}, the GPUs of a node of {name}")
                continue
            nodes, per_node = layout(launch.ranks, gpu, spread)
            if nodes * per_node != launch.ranks or nodes > gpu.nodes:
                most = gpu.gpus_per_node // spread
                expected = f"1 to {most}, or a number that fills up to {gpu.nodes} nodes evenly, on {name}"
                yield Problem(file, f"{key}.ranks", launch.ranks, expected)


def _minutes(hours: float) -> int:
    return max(1, math.ceil(hours * 60))
