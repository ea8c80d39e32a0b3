"""The plan of each cell: its work, its memory, its hours and its disk, estimated; beside it what was measured."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from closerlook.cluster.stage_status import Standing, State
from closerlook.cluster.survey import Found, to_do
from closerlook.config.catalog import Launch
from closerlook.config.grid import Cell, dataset_and_size
from closerlook.config.load import Configuration
from closerlook.config.settings import TrainSettings
from closerlook.core import layout
from closerlook.plan import work
from closerlook.plan.measured import Run
from closerlook.plan.memory import Memory, Mode, Zero, host_memory, memory, mode_of
from closerlook.plan.shape import Shape, shape_of
from closerlook.plan.target import Target


@dataclass
class Row:
    """One cell of the plan. Numbers that cannot be known are None. Memory and disk in bytes, times in hours."""

    cell: str
    model: str
    state: State
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
    fewest_gpus: int | None = None
    memory: dict[str, float] | None = None
    memory_per_gpu: float | None = None
    memory_measured: float | None = None
    """Of a GPU, where the run was launched as the catalog says now; a CPU's resident memory is another quantity."""
    memory_first_node: float | None = None
    gpu_hours: float | None = None
    gpu_hours_measured: float | None = None
    hours: float | None = None
    answering_gpu_hours: float | None = None
    """Of generation and shift."""
    disk: float | None = None
    checkpoints: float | None = None
    warnings: list[str] = field(default_factory=list)


class Planner:
    """Plans the cells of a configuration for a target. What many cells share is worked out once."""

    def __init__(
        self,
        configuration: Configuration,
        results: Path,
        target: Target,
        manifests: dict[Path, dict[str, Any]],
        runs: dict[Path, Run],
    ) -> None:
        self.configuration, self.results, self.target = configuration, results, target
        self.manifests, self.runs = manifests, runs
        self._rows: dict[str, int] = {}
        self._lengths: dict[tuple[str, str, int], work.Lengths | None] = {}
        self._zeros: dict[str, Zero] = {}

    def rows(self, found: Iterable[Found]) -> Iterator[Row]:
        """The rows, in the order of the grid. A cell stands where its training does, a control where its answers do."""
        standings: dict[Cell, list[Standing]] = {}
        for one in found:
            if one.stage.name == ("train" if one.cell.dataset else "generate"):
                standings.setdefault(one.cell, []).append(one.standing)
        return (self.row(cell, standings[cell]) for cell in self.configuration.cells)

    def row(self, cell: Cell, standings: Sequence[Standing]) -> Row:
        """The row of a cell; `standings` are those of the stages that it stands for."""
        standing = to_do(standings)
        if cell.dataset is None:
            return Row(cell.name, cell.model, standing.state, standing.why, self.total(cell.model), disk=0.0)
        return self._trained(cell, cell.dataset, standing)

    def _trained(self, cell: Cell, dataset: str, standing: Standing) -> Row:
        settings, folder = self.configuration.train_settings(cell), self.results / "cells" / cell.name
        launch = self.configuration.catalog.models[cell.model].launch_of(settings.kind)
        row = Row(cell.name, cell.model, standing.state, standing.why, self.total(cell.model), gpus=launch.ranks)
        row.instances = max(0, self._instances(dataset) - settings.held_out)
        row.steps = work.steps(row.instances, settings)
        run = self.runs.get(folder)
        if run:
            row.gpu_hours_measured = run.device_hours
            if self._ran_as_launched(folder, launch) and not run.device.startswith("CPU"):
                row.memory_measured = run.peak_memory
        if launch.ranks > settings.batch_size:
            row.warnings.append(
                f"{launch.ranks} ranks are more than its batch of {settings.batch_size} instances: training will refuse"
            )
        shape = self.shapes[cell.model]
        if shape is None:
            row.warnings.append(
                f"the shape of {cell.model} is unknown: add `architecture` to its catalog entry, from its config.json"
            )
            return row
        row.trainable = shape.trainable(settings)
        self._add_disk(row, shape, settings, launch)
        lengths = self._lengths_of(cell.model, dataset, settings)
        if lengths is None:
            row.warnings.append(
                f"the lengths of {dataset_and_size(dataset)[0]} are unknown: add `mean_tokens` to its catalog entry, "
                "or let the workflow prepare it first"
            )
            return row
        self._add_work(row, shape, settings, launch, lengths, folder)
        self._add_memory(row, shape, settings, launch, lengths)
        return row

    def _add_work(
        self, row: Row, shape: Shape, settings: TrainSettings, launch: Launch, lengths: work.Lengths, folder: Path
    ) -> None:
        assert row.steps is not None
        seen = row.steps * settings.batch_size
        row.tokens, row.trained_tokens, row.lengths_from = seen * lengths.mean, seen * lengths.trained, lengths.source
        flops = work.flops(
            shape,
            settings,
            row.tokens,
            row.trained_tokens,
            seen * lengths.mean_square,
            launch.gradient_checkpointing,
        )
        row.flops, row.recomputed_flops = flops.model, flops.recomputed
        if rate := self.target.rate(but=folder):
            row.gpu_hours = flops.done / rate / 3600
            row.hours = row.gpu_hours / launch.ranks

    def _add_memory(
        self, row: Row, shape: Shape, settings: TrainSettings, launch: Launch, lengths: work.Lengths
    ) -> None:
        zero, mode = self._zero(launch, shape), self._mode(launch)

        def on(ranks: int) -> Memory:
            return memory(shape, settings, launch, zero, mode, ranks, lengths)

        here, gpu, usable = on(launch.ranks), self.target.gpu, self.target.usable
        row.memory, row.memory_per_gpu = asdict(here), here.total
        per_node = gpu.gpus_per_node if gpu else launch.ranks
        row.memory_first_node = host_memory(shape, settings, zero, mode, launch.ranks, per_node)
        if gpu is None:
            return
        most = min(gpu.nodes * per_node, settings.batch_size)
        counts = [*range(1, per_node + 1), *range(2 * per_node, most + 1, per_node)]
        row.fewest_gpus = next((count for count in counts if count <= most and on(count).total <= usable), None)
        need = (
            f"{here.total / 1e9:.0f} GB on each of its {launch.ranks} GPUs, of which {usable / 1e9:.0f} GB are usable"
        )
        if row.fewest_gpus is None:
            row.warnings.append(
                f"needs {need}, and no number of GPUs up to {most} holds it as launched; "
                "try ZeRO-3, gradient_checkpointing or a smaller micro_batch"
            )
        elif here.total > usable:
            row.warnings.append(f"needs {need}; {row.fewest_gpus} GPUs hold it")
        if launch.ranks > gpu.nodes * per_node:
            row.warnings.append(f"asks for {launch.ranks} GPUs, and a job can get {gpu.nodes * per_node}")
        if row.memory_first_node > gpu.memory_per_node_gb * 1e9:
            row.warnings.append(
                f"needs {row.memory_first_node / 1e9:.0f} GB of main memory on its first node, "
                f"which has {gpu.memory_per_node_gb:g} GB"
            )
        threads = self.configuration.catalog.models[row.model].threads
        if threads > gpu.cpus_per_node:
            row.warnings.append(f"asks for {threads} CPU threads, and a node has {gpu.cpus_per_node}")

    def _add_disk(self, row: Row, shape: Shape, settings: TrainSettings, launch: Launch) -> None:
        """The tuned model, which stays; while it trains two checkpoints, since the old one goes when the new one is whole."""
        assert row.trainable is not None
        assert row.steps is not None
        file_width = 4 if shape.architecture.dtype == "float32" else 2
        row.disk = 4.0 * row.trainable if settings.kind == "lora" else float(file_width * shape.total)
        width = 2 if launch.deepspeed and self._mode(launch) == "bfloat16" else 0
        row.checkpoints = 2.0 * (12 + width) * row.trainable if row.steps > launch.checkpoint_steps else 0.0

    @cached_property
    def shapes(self) -> dict[str, Shape | None]:
        """The shape of every model of the grid."""
        models = {cell.model for cell in self.configuration.cells}
        catalog, root = self.configuration.catalog.models, self.configuration.root
        return {name: shape_of(name, catalog[name], self.results, root) for name in models}

    @cached_property
    def _template(self) -> str:
        """The text of the prompt template that all trained cells share, as the training reads it."""
        return self.configuration.templates[self.configuration.preset.template].text

    def total(self, model: str) -> int | None:
        """Parameters of a base model."""
        shape = self.shapes[model]
        return shape.total if shape else self.configuration.catalog.models[model].parameters

    def _mode(self, launch: Launch) -> Mode:
        bfloat16 = launch.precision == "bfloat16" or (launch.precision == "auto" and self.target.bfloat16)
        return mode_of(bfloat16, launch.deepspeed is not None)

    def _zero(self, launch: Launch, shape: Shape) -> Zero | None:
        if launch.deepspeed is None:
            return None
        key = f"{launch.deepspeed} {shape.hidden}"
        if key not in self._zeros:
            text = (self.configuration.root / launch.deepspeed).read_text(encoding="utf-8")
            self._zeros[key] = Zero.parse(text, shape.hidden, launch.deepspeed)
        return self._zeros[key]

    def _data(self, dataset: str) -> Path | None:
        """A prepared file of the dataset: its own subset, or the whole."""
        files = [self.results / layout.dataset(name) for name in (dataset, dataset_and_size(dataset)[0])]
        return next((file for file in files if file.is_file()), None)

    def _instances(self, dataset: str) -> int:
        if dataset not in self._rows:
            name, size = dataset_and_size(dataset)
            file = self._data(dataset)
            there = pq.read_metadata(file).num_rows if file else self.configuration.catalog.datasets[name].rows
            self._rows[dataset] = min(there, size or there)
        return self._rows[dataset]

    def _lengths_of(self, model: str, dataset: str, settings: TrainSettings) -> work.Lengths | None:
        """Subsets are drawn at random, so one sample stands for all sizes of a dataset."""
        name = dataset_and_size(dataset)[0]
        key = model, name, settings.max_length
        if key not in self._lengths:
            file, mean = self._data(dataset), self.configuration.catalog.datasets[name].mean_tokens
            if file:
                tokenizer = self.results / "models" / model / "tokenizer.json"
                self._lengths[key] = work.measure(file, self._template, tokenizer, settings.max_length)
            else:
                self._lengths[key] = work.guess(mean, self._template, settings.max_length) if mean else None
        return self._lengths[key]

    def _ran_as_launched(self, folder: Path, launch: Launch) -> bool:
        """Whether a finished run's memory can stand beside the estimate: same ranks, micro-batch, checkpointing and engine."""
        manifest = self.manifests[folder]
        engine = manifest["engine"]
        return (
            manifest["world_size"] == launch.ranks
            and engine.get("micro_batch") == launch.micro_batch
            and engine["gradient_checkpointing"] == launch.gradient_checkpointing
            and (engine.get("deepspeed") is None) == (launch.deepspeed is None)
        )
