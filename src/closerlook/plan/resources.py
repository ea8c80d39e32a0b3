"""The resources that a job requests from Slurm: they follow from the model, the method, the site and earlier attempts."""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from closerlook.cluster.adoption import adopted_job
from closerlook.cluster.attempts import FINAL, Attempt, count, read, records_folder, since_success
from closerlook.cluster.stage_status import StageStatus
from closerlook.config.catalog import GenerateLaunch, Launch
from closerlook.config.grid import Cell
from closerlook.config.judges import LocalJudge
from closerlook.config.load import Configuration
from closerlook.config.problems import Problem, nearest
from closerlook.config.site import Gpu, Site
from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.plan.cells import CellPlanner
from closerlook.plan.device import choose_device

Resources = dict[str, int | str | None]
"""Values by Snakemake's names of resources; None for one that is not requested."""
LOCAL_NAMES = ("halvings", "tries", "gpus_in_use")
"""Resources that mean something without a site."""
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
    *LOCAL_NAMES,
)
TIME_MARGIN, START_HOURS = 3.0, 0.5
"""A time limit is this factor times the estimated hours, which are rough, plus the hours to start."""


class ResourcePlanner:
    """Computes the resources of a configuration's jobs on a site; without a site, only LOCAL_NAMES.

    local_gpus: number of GPUs of this machine that its jobs may use, if they run here; None if they run elsewhere, or on CPUs.
    """

    def __init__(self, configuration: Configuration, site: Site | None, local_gpus: int | None = None) -> None:
        self.configuration, self.site, self.local_gpus = configuration, site, local_gpus
        self._results = configuration.root / "results" / configuration.preset.preset
        self._cell_planner = cache(self._make_cell_planner)

    def train(self, cell: Cell, tries: int) -> Resources:
        """Resources of a cell's training."""
        kind = self.configuration.train_settings(cell).kind
        launch = self.configuration.catalog.models[cell.model].launch_of(kind)
        hours = launch.hours
        if hours is None and self.site:
            estimate = self._cell_planner(launch.gpu).row(cell, StageStatus("new")).hours
            hours = TIME_MARGIN * estimate + START_HOURS if estimate else None
        return self._gpu_job(self._folder(cell), "train", launch, hours, tries)

    def evaluate(self, cell: Cell, folder: str, stage: str, tries: int) -> Resources:
        """Resources of a job that runs a cell's model on an evalset, and writes into `folder` of the cell."""
        launch = self.configuration.catalog.models[cell.model].generate
        return self._gpu_job(self._folder(cell) / folder, stage, launch, launch.hours, tries)

    def judge(self, cell: Cell, evalset: str, judge: str, tries: int) -> Resources:
        """Resources of a job that judges a cell's responses: only a local chat model needs a GPU."""
        entry = self.configuration.catalog.judges[judge]
        if isinstance(entry, LocalJudge):
            launch = GenerateLaunch(gpu=entry.gpu, hours=entry.hours)
            folder = self._folder(cell) / evalset / "verdicts"
            return self._gpu_job(folder, f"judge-{judge}", launch, launch.hours, tries)
        return self.watched(hours=1, gigabytes=4, tries=tries)

    def watched(self, hours: float, gigabytes: float, tries: int) -> Resources:
        """Resources of a supervised job without a GPU."""
        return {"halvings": 0, "tries": tries} | self.cpu(hours, gigabytes)

    def cpu(self, hours: float, gigabytes: float) -> Resources:
        """Resources of a job without a GPU."""
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
        """Resources of a job that writes into `folder`; hours: its time limit, by default the partition's.

        Raises CloserlookError if it needs more GPUs than this machine has.
        """
        earlier = since_success(read(folder, stage))
        local: Resources = {"halvings": count(earlier, "out of memory"), "tries": tries}
        gpus_per_rank = _gpus_per_rank(launch)
        gpus = launch.ranks * gpus_per_rank
        if self.local_gpus is not None:
            if gpus > self.local_gpus:  # Snakemake would silently give it fewer
                raise CloserlookError(
                    f"{folder}: {stage}: its launch asks for {gpus} GPUs, and jobs on this machine can use "
                    f"{self.local_gpus}; change `launch` or `generate` of the model (`closerlook plan` shows what fits)"
                )
            local["gpus_in_use"] = gpus
        if self.site is None:
            return local
        if tries > 1 and earlier and earlier[-1].reason in FINAL:
            return local | self.cpu(0.1, 1)  # it only reports that it is not tried again, which needs no GPU
        name, gpu = self.site.gpu(launch.gpu)
        nodes, ranks_per_node = place_ranks(launch.ranks, gpu, gpus_per_rank)
        gpus_per_node = ranks_per_node * gpus_per_rank
        time_limit = (hours or gpu.max_hours) * 2 ** count(earlier, "time limit")
        several = launch.ranks > 1
        return local | {
            "slurm_partition": gpu.partition,
            "slurm_account": self.site.account,
            "slurm_extra": self._sbatch_options(self.site, records_folder(folder, stage), earlier, tries),
            "nodes": nodes,
            "gres": self.site.gres(name, gpus_per_node),
            # With `mpi` the job's own command calls srun, one task per rank; without it Snakemake does, for a single task.
            "mpi": "srun" if several else None,
            "tasks_per_node": ranks_per_node if ranks_per_node > 1 else None,
            "tasks": nodes if several and ranks_per_node == 1 else None,
            "tasks_per_gpu": 0 if several or gpus_per_rank > 1 else None,
            "mem_mb": math.floor(gpu.memory_per_node_gb * 1000 * gpus_per_node / gpu.gpus_per_node),
            "runtime": _minutes(min(time_limit, gpu.max_hours)),
            "gpus_in_use": gpus,
        }

    def _sbatch_options(self, site: Site, records: Path, earlier: Sequence[Attempt], tries: int) -> str:
        options = [f"--signal=USR2@{site.notice_seconds}"]
        failed_nodes = [attempt.failed_nodes for attempt in earlier if attempt.failed_nodes]
        if failed_nodes and tries > 1:  # only within one run of Snakemake: a node may be repaired by the next
            options.append(f"--exclude={','.join(dict.fromkeys(failed_nodes))}")
        if job := adopted_job(records):
            options.append(f"--dependency=afterany:{job}")
        return " ".join(options)

    def _folder(self, cell: Cell) -> Path:
        return self._results / layout.cell(cell.name)

    def _make_cell_planner(self, gpu: str | None) -> CellPlanner:
        return CellPlanner(self.configuration, self._results, choose_device(self.site, gpu, [], ()), {}, {})


def place_ranks(ranks: int, gpu: Gpu, gpus_per_rank: int = 1) -> tuple[int, int]:
    """Return the number of nodes and the ranks on each: as few nodes as hold them, with all GPUs of a rank on one node."""
    nodes = math.ceil(ranks / max(1, gpu.gpus_per_node // gpus_per_rank))
    return nodes, ranks // nodes


def _gpus_per_rank(launch: Launch | GenerateLaunch) -> int:
    return launch.gpus if isinstance(launch, GenerateLaunch) else 1


def problems(configuration: Configuration, site: Site, file: str) -> Iterator[Problem]:
    """Yield the launch settings that the site cannot satisfy; `file` is named as the one to change."""
    for model in dict.fromkeys(cell.model for cell in configuration.cells):
        entry = configuration.catalog.models[model]
        launches: dict[str, Launch | GenerateLaunch] = {
            f"launch.{kind}": launch for kind, launch in entry.launch.items()
        }
        for section, launch in [*launches.items(), ("generate", entry.generate)]:
            key = f"models.{model}.{section}"
            if launch.gpu and launch.gpu not in site.gpus:
                expected = f"a type of GPU of site {site.name}: {nearest(launch.gpu, site.gpus)}"
                yield Problem(file, f"{key}.gpu", launch.gpu, expected)
                continue
            name, gpu = site.gpu(launch.gpu)
            gpus_per_rank = _gpus_per_rank(launch)
            if gpus_per_rank > gpu.gpus_per_node:
                expected = f"at most {gpu.gpus_per_node}, the GPUs of a node of {name}"
                yield Problem(file, f"{key}.gpus", gpus_per_rank, expected)
                continue
            nodes, ranks_per_node = place_ranks(launch.ranks, gpu, gpus_per_rank)
            if nodes * ranks_per_node != launch.ranks or nodes > gpu.nodes:
                most = gpu.gpus_per_node // gpus_per_rank
                expected = f"1 to {most}, or a number that fills up to {gpu.nodes} nodes evenly, on {name}"
                yield Problem(file, f"{key}.ranks", launch.ranks, expected)


def _minutes(hours: float) -> int:
    return max(1, math.ceil(hours * 60))
