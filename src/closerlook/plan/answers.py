"""What answering and measuring shift will take: rougher than the rest, since nobody knows beforehand how long answers get."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean, median

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from closerlook.cluster.attempts import Attempt
from closerlook.cluster.survey import Found
from closerlook.config.catalog import ApiModel, ParaphrasedSource
from closerlook.config.grid import Cell
from closerlook.config.load import Configuration
from closerlook.config.markers import ConsistencyMarker
from closerlook.core import layout
from closerlook.plan.target import Target

NEW_TOKENS = 256
"""Of a response, where the preset has no finished answers to the evalset. An assumption."""
PROMPT_TOKENS = 128
"""Of a prompt, likewise."""
DECODING_SHARE = 0.02
"""Of a GPU's peak that generation is taken to reach until it is measured: a step reads all weights for few tokens. Assumed."""
SAMPLE = 16
"""Finished answers to an evalset that are looked at."""


@dataclass(frozen=True)
class Lengths:
    """Mean lengths of prompts and responses, in tokens."""

    prompt: float
    new: float


@dataclass(frozen=True)
class _Answers:
    """A finished responses.parquet."""

    found: Found
    responses: int
    lengths: Lengths


class Answering:
    """Estimates GPU-hours of generation and of shift, from what was measured in the same results folder where there is any."""

    def __init__(
        self,
        configuration: Configuration,
        results: Path,
        target: Target,
        found: Iterable[Found],
        parameters: dict[str, int | None],
    ) -> None:
        self.configuration, self.results, self.target, self.parameters = configuration, results, target, parameters
        self._all = [one for one in found if _kind(one) in ("generate", "shift")]
        self._done = [one for one in self._all if one.standing.state == "done"]
        self._rows: dict[str, int | None] = {}

    def hours(self, one: Found) -> float | None:
        """GPU-hours of a stage; None where the number of its responses, the model's size or the device's speed is unknown."""
        if isinstance(self.configuration.catalog.models[one.cell.model].source, ApiModel):
            return 0.0
        responses, parameters = self.responses(one.stage.of), self.parameters[one.cell.model]
        rate = self.rates[_kind(one)]
        if responses is None or parameters is None or rate is None:
            return None
        responses *= self._times(one)
        return _operations(_kind(one), parameters, responses, self.lengths_of(one.stage.of)) / rate / 3600

    def _times(self, one: Found) -> int:
        """Answers to each instruction: one, or as many as a marker samples."""
        marker = self.configuration.catalog.markers.get(one.stage.name.partition("-")[2])
        return marker.consistency.samples if isinstance(marker, ConsistencyMarker) else 1

    def responses(self, evalset: str) -> int | None:
        """Instructions of an evalset: of the prepared one, else as many as the catalog cuts out."""
        if evalset not in self._rows:
            cut = self.configuration.catalog.evalsets[evalset].rows
            source = self.configuration.catalog.evalsets[evalset].source
            try:
                rows: int | None = pq.read_metadata(self.results / layout.evalset(evalset)).num_rows
            except (OSError, pa.ArrowInvalid):
                rows = cut[1] - cut[0] if cut else None
                if isinstance(source, ParaphrasedSource) and (asked := self.responses(source.of)):
                    rows = asked * source.paraphrase.count
            self._rows[evalset] = rows
        return self._rows[evalset]

    def lengths_of(self, evalset: str) -> Lengths:
        """Mean lengths of the finished answers to an evalset, else what is assumed."""
        known = [answers.lengths for answers in self._answers if answers.found.stage.of == evalset]
        if known:
            return Lengths(mean(one.prompt for one in known), mean(one.new for one in known))
        return Lengths(PROMPT_TOKENS, min(NEW_TOKENS, self.configuration.preset.generate.max_new_tokens))

    def of_cells(self) -> Iterator[float | None]:
        """GPU-hours of both stages of each cell, in the grid's order; None where one of them is unknown."""
        hours: dict[Cell, list[float | None]] = {}
        for one in self._all:
            hours.setdefault(one.cell, []).append(self.hours(one))
        for each in hours.values():
            known = [one for one in each if one is not None]
            yield sum(known) if len(known) == len(each) else None

    def totals(self) -> dict[str, dict[str, float | int | None]]:
        """Of each stage: hours of all and of what is to do, how many have no estimate, and what the estimate is made of."""
        told: dict[str, dict[str, float | int | None]] = {}
        for stage, runs in self.measured.items():
            hours = [(one.standing.state == "done", self.hours(one)) for one in self._all if _kind(one) == stage]
            told[stage] = {
                "gpu_hours": sum(each for _, each in hours if each is not None),
                "gpu_hours_to_do": sum(each for done, each in hours if each is not None and not done),
                "unknown": sum(each is None for _, each in hours),
                "flops_per_second": self.rates[stage],
                "measured_runs": len(runs),
            }
        return told

    @cached_property
    def measured(self) -> dict[str, list[float]]:
        """Operations per second and process of each stage's finished jobs on the plan's device, start-up included."""
        here = {run.cell for run in self.target.runs}
        lengths = {(answers.found.cell, answers.found.stage.of): answers for answers in self._answers}
        rates: dict[str, list[float]] = {"generate": [], "shift": []}
        for one in self._done:
            answers, parameters = lengths.get((one.cell, one.stage.of)), self.parameters[one.cell.model]
            seconds = _seconds(one.attempts)
            if one.stage.name not in rates or self.results / "cells" / one.cell.name not in here:
                continue
            if answers and parameters and seconds:
                launch = self.configuration.catalog.models[one.cell.model].generate
                done = _operations(one.stage.name, parameters, answers.responses, answers.lengths)
                rates[one.stage.name].append(done / (seconds * launch.ranks * launch.gpus))
        return rates

    @cached_property
    def rates(self) -> dict[str, float | None]:
        """Operations per second and GPU of each stage: measured, else a share of the peak; None where neither is known."""
        gpu = self.target.gpu
        assumed = {
            "generate": gpu.peak_tflops * 1e12 * DECODING_SHARE if gpu else None,
            "shift": self.target.rate(),
        }
        return {stage: median(rates) if rates else assumed[stage] for stage, rates in self.measured.items()}

    @cached_property
    def _answers(self) -> list[_Answers]:
        """Some finished answers to each evalset."""
        read: list[_Answers] = []
        by_evalset: dict[str, list[Found]] = {}
        for one in self._done:
            if one.stage.name == "generate":
                by_evalset.setdefault(one.stage.of, []).append(one)
        for founds in by_evalset.values():
            for one in founds[:: max(1, len(founds) // SAMPLE)][:SAMPLE]:
                if answers := _read(one, self.results / one.stage.file):
                    read.append(answers)
        return read


def _kind(one: Found) -> str:
    """generate, also for the answers that a marker samples; else what the stage is called."""
    name = one.stage.name.partition("-")[0]
    return "generate" if name == "samples" else name


def _operations(stage: str, parameters: int, responses: int, lengths: Lengths) -> float:
    """Two per weight and token: of one model over the new tokens, or of two models over prompts and new tokens at once."""
    if stage == "generate":
        return 2.0 * parameters * responses * lengths.new
    return 4.0 * parameters * responses * (lengths.prompt + lengths.new)


def _seconds(attempts: list[Attempt]) -> float | None:
    """Of the attempt that succeeded; None where there were others, which may have done a part of it."""
    if len(attempts) != 1 or attempts[0].ended is None:
        return None
    return max(1.0, attempts[0].ended.timestamp() - attempts[0].started.timestamp())


def _read(found: Found, file: Path) -> _Answers | None:
    try:
        table = pq.read_table(file, columns=["prompt_token_ids", "token_ids"])
        prompt, new = (pc.mean(pc.list_value_length(column)).as_py() for column in table.columns)
    except (OSError, ValueError, pa.ArrowException):
        return None
    return _Answers(found, table.num_rows, Lengths(prompt, new)) if table.num_rows and new else None
