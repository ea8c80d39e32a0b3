"""Estimates for each cell: work, memory, hours and disk of its training, next to what finished runs measured."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from closerlook.cluster.stage_status import StageRecord, StageStatus, State, combine
from closerlook.config.catalog import Launch
from closerlook.config.grid import Cell, dataset_and_size
from closerlook.config.load import Configuration
from closerlook.core import layout
from closerlook.plan.device import Device, Run
from closerlook.plan.memory import Mode, TrainingMemory, Zero
from closerlook.plan.shape import Shape, find_shape
from closerlook.plan.speed import step_seconds
from closerlook.plan.work import (
    Lengths,
    count_flops,
    count_micro_steps,
    count_steps,
    guess_lengths,
    measure_lengths,
)

USABLE_MEMORY = 0.9
"""Share of a GPU's memory that a training may fill; CUDA, NCCL and fragmentation take the rest."""
CHECKPOINT_SPEED = 2e9
"""Assumed bytes per second at which all ranks together write a checkpoint to a shared file system."""


@dataclass
class Row:
    """One cell of the plan. Unknown numbers are None. Memory and disk are in bytes, times in hours."""

    cell: str
    model: str
    state: State
    """Of the training; of a control's responses."""
    why: str = ""
    parameters: int | None = None
    trainable: int | None = None
    instances: int | None = None
    steps: int | None = None
    tokens: float | None = None
    trained_tokens: float | None = None
    lengths_from: str | None = None
    flops: float | None = None
    recomputed_flops: float | None = None
    gpus: int | None = None
    engine: str | None = None
    """How the ranks share the work: ddp, or the name of the DeepSpeed file; with `+ckpt` where activations are recomputed."""
    micro_steps: int | None = None
    """Micro-batches of each rank in an optimizer step of average length."""
    fewest_gpus: int | None = None
    memory: dict[str, float] | None = None
    memory_per_gpu: float | None = None
    memory_measured: float | None = None
    """Of a GPU, if the run was launched as the catalog says now."""
    memory_first_node: float | None = None
    gpu_hours: float | None = None
    gpu_hours_measured: float | None = None
    hours: float | None = None
    answering_gpu_hours: float | None = None
    """Of generation, shift, retention and benchmarks."""
    disk: float | None = None
    checkpoints: float | None = None
    warnings: list[str] = field(default_factory=list)


class CellPlanner:
    """Plans the cells of a configuration for a device. What several cells share is computed once."""

    def __init__(
        self,
        configuration: Configuration,
        results: Path,
        device: Device,
        manifests: Mapping[Path, Mapping[str, Any]],
        runs: Mapping[Path, Run],
        notice_seconds: int | None = None,
    ) -> None:
        self.configuration, self.results, self.device = configuration, results, device
        self.manifests, self.runs, self.notice_seconds = manifests, runs, notice_seconds
        self.shape = cache(self._find_shape)
        self._dataset_rows = cache(self._count_rows)
        self._lengths = cache(self._find_lengths)
        self._zero = cache(self._read_zero)

    def rows(self, records: Iterable[StageRecord]) -> list[Row]:
        """Return a row per cell, in the order of the grid, with the states that a survey recorded."""
        statuses: dict[Cell, list[StageStatus]] = {}
        for record in records:
            if record.stage.name == ("train" if record.cell.dataset else "generate"):
                statuses.setdefault(record.cell, []).append(record.status)
        return [self.row(cell, combine(statuses[cell])) for cell in self.configuration.cells]

    def row(self, cell: Cell, status: StageStatus) -> Row:
        """Return the row of a cell; `status` is that of its training, or of a control's responses."""
        row = Row(cell.name, cell.model, status.state, status.why, self.parameters(cell.model))
        if cell.dataset:
            self._plan_training(row, cell, cell.dataset)
        else:
            row.disk = 0.0
        return row

    def parameters(self, model: str) -> int | None:
        """Return the number of parameters of a base model."""
        shape = self.shape(model)
        return shape.total if shape else self.configuration.catalog.models[model].parameters

    def _plan_training(self, row: Row, cell: Cell, dataset: str) -> None:
        """Fill in the row of a trained cell, as far as the model's shape and the dataset's lengths are known."""
        settings, folder = self.configuration.train_settings(cell), self.results / layout.cell(cell.name)
        launch = self.configuration.catalog.models[cell.model].launch_of(settings.kind)
        name, size = dataset_and_size(dataset)
        dataset_rows = self._dataset_rows(name)
        row.instances = max(0, min(dataset_rows, size or dataset_rows) - settings.held_out)
        row.steps = count_steps(row.instances, settings)
        row.gpus = launch.ranks
        row.engine = Path(launch.deepspeed).stem if launch.deepspeed else "ddp"
        row.engine += "+ckpt" if launch.gradient_checkpointing else ""
        if run := self.runs.get(folder):
            row.gpu_hours_measured = run.gpu_hours
            if not run.device.startswith("CPU") and _launched_like(self.manifests[folder], launch):
                row.memory_measured = run.peak_memory
        warn = row.warnings.append
        if launch.ranks > settings.batch_size:
            warn(
                f"{launch.ranks} ranks are more than its batch of {settings.batch_size} instances: training will refuse"
            )
        shape = self.shape(cell.model)
        if shape is None:
            warn(f"the shape of {cell.model} is unknown: add `architecture` to its catalog entry, from its config.json")
            return
        mode = self._mode(launch)
        row.trainable = shape.trainable(settings)
        row.disk = 4.0 * row.trainable if settings.kind == "lora" else float(shape.file_size)
        self._add_checkpoints(row, (14.0 if launch.deepspeed and mode == "bfloat16" else 12.0) * row.trainable, launch)
        lengths = self._lengths(cell.model, dataset, settings.max_length)
        if lengths is None:
            advice = "add `mean_tokens` to its catalog entry, or let the workflow prepare it first"
            warn(f"the lengths of {name} are unknown: {advice}")
            return
        seen = row.steps * settings.batch_size
        row.tokens, row.trained_tokens, row.lengths_from = seen * lengths.mean, seen * lengths.trained, lengths.source
        squares = seen * lengths.mean_square
        flops = count_flops(shape, settings, row.tokens, row.trained_tokens, squares, launch.gradient_checkpointing)
        row.flops, row.recomputed_flops = flops
        zero = self._zero(launch.deepspeed, shape.hidden) if launch.deepspeed else None
        training = TrainingMemory(shape, settings, launch, zero, mode, lengths)
        self._add_hours(row, training, sum(flops), self.device.rate_for(folder), self.device.is_measured_for(folder))
        self._add_memory(row, training, launch.ranks)

    def _add_checkpoints(self, row: Row, size: float, launch: Launch) -> None:
        """Add the disk of checkpoints of `size` bytes to a row, and warn if one takes longer to write than Slurm's notice."""
        # Two at a time: the old one is deleted when the new one is complete.
        row.checkpoints = 2 * size if (row.steps or 0) > launch.checkpoint_steps else 0.0
        seconds = math.ceil(size / CHECKPOINT_SPEED)
        if self.notice_seconds is not None and seconds > self.notice_seconds:
            row.warnings.append(
                f"a checkpoint of {size / 1e9:.0f} GB takes about {seconds} s at {CHECKPOINT_SPEED / 1e9:g} GB/s, longer than "
                f"the site's notice_seconds, {self.notice_seconds}: raise notice_seconds, or a time limit costs the work since "
                "the last checkpoint"
            )

    def _add_hours(self, row: Row, training: TrainingMemory, flops: float, rate: float | None, measured: bool) -> None:
        """Add the hours of a training of `flops` operations. rate: operations per second and GPU, measured or at most."""
        settings, launch, ranks = training.settings, training.engine, row.gpus or 1
        step_tokens = settings.batch_size * training.lengths.mean
        row.micro_steps = count_micro_steps(settings, launch, step_tokens, ranks)
        if rate is None:
            return
        row.hours = flops / rate / ranks / 3600
        if row.steps and self.device.gpu and not measured:
            own, zero = flops / row.steps / ranks, training.zero
            step = step_seconds(training.shape, settings, launch, zero, ranks, row.micro_steps, own, rate)
            row.hours = row.steps * step / 3600
        row.gpu_hours = row.hours * ranks

    def _add_memory(self, row: Row, training: TrainingMemory, ranks: int) -> None:
        """Add a training's memory to its row, and warn of what the device cannot hold."""
        memory, gpu, warn = training.per_gpu(ranks), self.device.gpu, row.warnings.append
        per_node = gpu.gpus_per_node if gpu else ranks
        row.memory, row.memory_per_gpu = asdict(memory), memory.total
        row.memory_first_node = training.first_node(ranks, per_node)
        if gpu is None:
            return
        usable = gpu.gpu_memory_gb * 1e9 * USABLE_MEMORY
        most = min(gpu.nodes * per_node, training.settings.batch_size)
        counts = [*range(1, min(per_node, most) + 1), *range(2 * per_node, most + 1, per_node)]
        row.fewest_gpus = next((count for count in counts if training.per_gpu(count).total <= usable), None)
        need = (
            f"needs {memory.total / 1e9:.0f} GB on each of its {ranks} GPUs, of which {usable / 1e9:.0f} GB are usable"
        )
        if row.fewest_gpus is None:
            advice = "try ZeRO-3, gradient_checkpointing or smaller micro_tokens"
            warn(f"{need}, and no number of GPUs up to {most} holds it as launched; {advice}")
        elif memory.total > usable:
            warn(f"{need}; {row.fewest_gpus} GPUs hold it")
        if ranks > gpu.nodes * per_node:
            warn(f"asks for {ranks} GPUs, and a job can get {gpu.nodes * per_node}")
        if row.memory_first_node > gpu.memory_per_node_gb * 1e9:
            need = f"needs {row.memory_first_node / 1e9:.0f} GB of main memory on its first node"
            warn(f"{need}, which has {gpu.memory_per_node_gb:g} GB")
        threads = self.configuration.catalog.models[row.model].threads
        if threads > gpu.cpus_per_node:
            warn(f"asks for {threads} CPU threads, and a node has {gpu.cpus_per_node}")

    def _mode(self, launch: Launch) -> Mode:
        """The dtype of passes. For a CPU float32: this machine may not know whether it multiplies bfloat16."""
        if launch.precision == "float32" or (launch.precision == "auto" and self.device.name.startswith("CPU")):
            return "float32"
        return "bfloat16"

    def _find_shape(self, model: str) -> Shape | None:
        return find_shape(model, self.configuration.catalog.models[model], self.results, self.configuration.root)

    def _read_zero(self, file: str, hidden: int) -> Zero:
        return Zero.parse((self.configuration.root / file).read_text(encoding="utf-8"), hidden, file)

    def _count_rows(self, name: str) -> int:
        data = self.results / layout.dataset(name)
        return pq.read_metadata(data).num_rows if data.is_file() else self.configuration.catalog.datasets[name].rows

    def _find_lengths(self, model: str, dataset: str, max_length: int) -> Lengths | None:
        """Lengths of a dataset or subset once it is prepared; until then those of the whole dataset, or a guess from its mean."""
        template = self.configuration.templates[self.configuration.preset.template].text
        name, _ = dataset_and_size(dataset)
        for data in (self.results / layout.dataset(dataset), self.results / layout.dataset(name)):
            if data.is_file():
                tokenizer = self.results / layout.model(model) / "tokenizer.json"
                return measure_lengths(data, template, tokenizer, max_length)
        mean = self.configuration.catalog.datasets[name].mean_tokens
        return guess_lengths(mean, template, max_length) if mean else None


def _launched_like(manifest: Mapping[str, Any], launch: Launch) -> bool:
    """Whether a finished run had the same ranks, micro-batch and engine, and so comparable memory."""
    engine = manifest["engine"]
    return (
        manifest["world_size"] == launch.ranks
        and engine.get("micro_batch") == launch.micro_batch
        and engine.get("micro_tokens") == launch.micro_tokens
        and engine["gradient_checkpointing"] == launch.gradient_checkpointing
        and engine.get("compile", False) == launch.compile
        and (engine.get("deepspeed") is None) == (launch.deepspeed is None)
    )
