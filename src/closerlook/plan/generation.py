"""GPU-hours of generation, shift and retention, rougher than those of training: lengths of responses are not known in advance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from closerlook.cluster.attempts import Attempt
from closerlook.cluster.stage_status import StageRecord
from closerlook.config.catalog import ApiModel, MiniatureSource, ParaphrasedSource
from closerlook.config.grid import Cell
from closerlook.config.load import Configuration
from closerlook.config.markers import ConsistencyMarker
from closerlook.core import layout
from closerlook.miniature.language import KINDS
from closerlook.miniature.planted import EACH
from closerlook.plan.cells import CellPlanner
from closerlook.plan.items import count_item_tokens
from closerlook.plan.speed import decoding_seconds, shift_seconds
from closerlook.plan.work import CHARACTERS_PER_TOKEN

Kind = Literal["generate", "shift", "retention", "benchmarks"]
NEW_TOKENS = 256
"""Assumed mean length of responses, until cells have answered the evalset."""
PROMPT_TOKENS = 128
"""Assumed mean length of prompts, until cells have answered the evalset."""
DECODING_SHARE = 0.02
"""Assumed share of a GPU's peak that generation reaches, until it is measured: each step reads all weights for few tokens."""
SAMPLE = 16
"""Finished responses.parquet per evalset that are read."""


def count_instructions(configuration: Configuration, results: Path, evalset: str) -> int | None:
    """Return the number of instructions of the prepared evalset, else what the catalog says; None if it does not."""
    try:
        return pq.read_metadata(results / layout.evalset(evalset)).num_rows
    except (OSError, pa.ArrowInvalid):
        entry = configuration.catalog.evalsets[evalset]
    if isinstance(entry.source, ParaphrasedSource):
        instructions = count_instructions(configuration, results, entry.source.of)
        return instructions * entry.source.paraphrase.count if instructions else None
    if entry.rows:
        return entry.rows[1] - entry.rows[0]
    if not isinstance(entry.source, MiniatureSource):
        return None
    miniature = configuration.catalog.miniature
    planted = configuration.catalog.is_planted(evalset, "evalsets")
    return EACH * len(KINDS) * miniature.unseen if planted else miniature.questions


@dataclass(frozen=True)
class Responses:
    """Responses to an evalset, pieces of texts (without prompts), or all items of tasks as one: number, mean length in tokens."""

    count: int
    prompt_tokens: float
    new_tokens: float


class GenerationPlanner:
    """Estimates generation, shift, retention and benchmarks, from finished stages of the same results folder if there are any."""

    def __init__(self, cells: CellPlanner, records: Sequence[StageRecord]) -> None:
        self.configuration, self.results, self.device = cells.configuration, cells.results, cells.device
        self._parameters, self._shape = cells.parameters, cells.shape
        self._instructions = cache(lambda evalset: count_instructions(self.configuration, self.results, evalset))
        self._records: dict[Kind, list[StageRecord]] = {  # the samples of a consistency marker are generated too
            "generate": [
                record for record in records if record.stage.name.partition("-")[0] in ("generate", "samples")
            ],
            "shift": [record for record in records if record.stage.name == "shift"],
        }
        if self.configuration.preset.retention:
            self._records["retention"] = [record for record in records if record.stage.name == "retention"]
        if self.configuration.tasks:
            self._records["benchmarks"] = [record for record in records if record.stage.name == "benchmarks"]
        self._read_by_all = {"retention": cache(self._count_pieces), "benchmarks": cache(self._count_items)}
        self._responses = self._sample_responses()
        self._speeds = {kind: self._speed(kind) for kind in self._records}

    def hours(self, kind: Kind, record: StageRecord) -> float | None:
        """GPU-hours of a stage; None if the number of responses, the model's size or the device's speed is unknown."""
        work = self._work(kind, record)
        return work[1] / 3600 if work else None

    def _work(self, kind: Kind, record: StageRecord) -> tuple[float, float] | None:
        """Operations and GPU-seconds of a stage."""
        model = record.cell.model
        if isinstance(self.configuration.catalog.models[model].source, ApiModel):
            return 0.0, 0.0
        responses = self._read_by_all[kind]() if kind in self._read_by_all else self._expected_responses(record)
        parameters, (rate, runs) = self._parameters(model), self._speeds[kind]
        if responses is None or parameters is None or rate is None:
            return None
        flops = _count_flops(kind, parameters, responses)
        seconds = None if runs else self._assumed_seconds(kind, record.cell, responses)
        return flops, flops / rate if seconds is None else seconds

    def _expected_responses(self, record: StageRecord) -> Responses | None:
        """What a stage generates or reads; None if the number of instructions is unknown."""
        instructions = self._instructions(record.stage.of)
        if instructions is None:
            return None
        marker = self.configuration.catalog.markers.get(record.stage.name.partition("-")[2])
        samples = marker.consistency.samples if isinstance(marker, ConsistencyMarker) else 1
        return Responses(instructions * samples, *self._mean_lengths(record.stage.of))

    def _count_pieces(self) -> Responses:
        """The pieces of all texts, by their characters once they are fetched; until then, as long as they can be."""
        pieces, tokens = 0, 0.0
        for name in self.configuration.preset.retention:
            text = self.configuration.catalog.texts[name]
            lengths = _read_lengths(self.results / layout.text(name)) or [math.inf] * text.pieces
            pieces += len(lengths)
            tokens += sum(min(length, text.max_tokens) for length in lengths)
        return Responses(pieces, 0.0, tokens / pieces)

    def _count_items(self) -> Responses | None:
        tokens = count_item_tokens(self.configuration, self.results)
        return Responses(1, *tokens) if tokens else None

    def _assumed_seconds(self, kind: Kind, cell: Cell, responses: Responses) -> float | None:
        """GPU-seconds of a stage that was never measured; None if its training was, or if the model's shape is unknown."""
        shape, launch = self._shape(cell.model), self.configuration.catalog.models[cell.model].generate
        if shape is None or self.device.gpu is None:
            return None
        lora = cell.dataset is not None and self.configuration.train_settings(cell).kind == "lora"
        if kind == "generate":
            return launch.gpus * decoding_seconds(
                shape, lora, responses.count * responses.new_tokens, launch.batch_size
            )
        if self.device.runs or self.device.rate is None:
            return None
        if kind == "benchmarks":  # one model reads, and decodes
            decoding = decoding_seconds(shape, lora, responses.new_tokens, launch.batch_size)
            return launch.gpus * (shift_seconds(shape, lora, responses.prompt_tokens, self.device.rate) / 2 + decoding)
        tokens = responses.count * (responses.prompt_tokens + responses.new_tokens)
        return launch.gpus * shift_seconds(shape, lora, tokens, self.device.rate)

    def cell_hours(self) -> dict[Cell, float | None]:
        """GPU-hours of all these stages of each cell; None if one of them is unknown."""
        totals: dict[Cell, float | None] = dict.fromkeys(self.configuration.cells, 0.0)
        for kind, records in self._records.items():
            for record in records:
                total, hours = totals[record.cell], self.hours(kind, record)
                totals[record.cell] = None if total is None or hours is None else total + hours
        return totals

    def totals(self) -> dict[str, dict[str, float | int | None]]:
        """For each kind: hours of all stages and of those to do, stages without an estimate, and the speed.

        Retention and benchmarks are there only if the preset has any.
        """
        totals: dict[str, dict[str, float | int | None]] = {}
        for kind, records in self._records.items():
            known = [(record.status.state, *work) for record in records if (work := self._work(kind, record))]
            rate, runs = self._speeds[kind]
            seconds = sum(seconds for _, _, seconds in known)
            totals[kind] = {
                "gpu_hours": seconds / 3600,
                "gpu_hours_to_do": sum(seconds for state, _, seconds in known if state != "done") / 3600,
                "unknown": len(records) - len(known),
                "flops_per_second": sum(flops for _, flops, _ in known) / seconds if seconds and not runs else rate,
                "measured_runs": runs,
            }
        return totals

    def _speed(self, kind: Kind) -> tuple[float | None, int]:
        """Operations per second and GPU, and the number of finished jobs that they are the median of; 0 if assumed.

        Only jobs of trained cells count, since their manifest names the device. Their start-up is part of their time.
        """
        rates = []
        cells_on_device = {run.cell for run in self.device.runs}
        for record in self._records[kind]:
            on_device = self.results / layout.cell(record.cell.name) in cells_on_device
            answered = self._responses.get((record.cell, record.stage.of))
            responses = self._read_by_all[kind]() if kind in self._read_by_all else answered
            parameters = self._parameters(record.cell.model)
            seconds = _seconds(record.attempts) if record.status.state == "done" and record.stage.name == kind else None
            if on_device and responses and parameters and seconds:
                launch = self.configuration.catalog.models[record.cell.model].generate
                rates.append(_count_flops(kind, parameters, responses) / (seconds * launch.ranks * launch.gpus))
        if rates:
            return median(rates), len(rates)
        if kind != "generate":
            return self.device.rate, 0
        gpu = self.device.gpu
        return gpu.peak_tflops * 1e12 * DECODING_SHARE if gpu else None, 0

    def _sample_responses(self) -> dict[tuple[Cell, str], Responses]:
        """Finished responses to each evalset, of at most SAMPLE cells."""
        done: dict[str, list[StageRecord]] = {}
        for record in self._records["generate"]:
            if record.stage.name == "generate" and record.status.state == "done":
                done.setdefault(record.stage.of, []).append(record)
        found = {}
        for evalset, records in done.items():
            for record in records[:: max(1, len(records) // SAMPLE)][:SAMPLE]:
                if responses := _read_responses(self.results / record.stage.file):
                    found[record.cell, evalset] = responses
        return found

    def _mean_lengths(self, evalset: str) -> tuple[float, float]:
        """Mean tokens of prompts and of responses to an evalset: measured, else assumed."""
        known = [responses for (_, answered), responses in self._responses.items() if answered == evalset]
        if known:
            return fmean(r.prompt_tokens for r in known), fmean(r.new_tokens for r in known)
        return PROMPT_TOKENS, min(NEW_TOKENS, self.configuration.preset.generate.max_new_tokens)


def _count_flops(kind: Kind, parameters: int, responses: Responses) -> float:
    """Two operations per weight and token: one model over the new tokens or (benchmarks) all tokens, or two models over all."""
    if kind == "generate":
        return 2.0 * parameters * responses.count * responses.new_tokens
    if kind == "benchmarks":
        return 2.0 * parameters * responses.count * (responses.prompt_tokens + responses.new_tokens)
    return 4.0 * parameters * responses.count * (responses.prompt_tokens + responses.new_tokens)


def _seconds(attempts: list[Attempt]) -> float | None:
    """Seconds of the only attempt; None if there were several, since earlier ones may have done a part."""
    if len(attempts) != 1 or attempts[0].ended is None:
        return None
    return max(1.0, attempts[0].ended.timestamp() - attempts[0].started.timestamp())


def _read_lengths(file: Path) -> list[float] | None:
    """Estimated tokens of each piece of a fetched text."""
    try:
        characters = pc.utf8_length(pq.read_table(file, columns=["text"])["text"]).to_pylist()
    except (OSError, ValueError, pa.ArrowException):
        return None
    return [length / CHARACTERS_PER_TOKEN for length in characters]


def _read_responses(file: Path) -> Responses | None:
    try:
        table = pq.read_table(file, columns=["prompt_token_ids", "token_ids"])
        prompt_tokens, new_tokens = (pc.mean(pc.list_value_length(column)).as_py() for column in table.columns)
    except (OSError, ValueError, pa.ArrowException):
        return None
    return Responses(table.num_rows, prompt_tokens, new_tokens) if table.num_rows and new_tokens else None
