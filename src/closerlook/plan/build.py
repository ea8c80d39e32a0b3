"""The plan of a preset: a row per cell, totals and warnings, to be printed or written as JSON."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from closerlook.cluster.stage_status import read_manifests, survey
from closerlook.config.load import Configuration
from closerlook.config.site import Site
from closerlook.plan.cells import CellPlanner, Row
from closerlook.plan.device import Device, Run, choose_device, read_run
from closerlook.plan.generation import GenerationPlanner
from closerlook.plan.judge_cost import JudgeCost, judge_costs
from closerlook.plan.shape import Shape, find_shape


@dataclass(frozen=True)
class Plan:
    """The plan of all cells, whose fields are those of its JSON.

    Totals leave out what is None; their `unknown` counts the cells without an estimate.
    """

    preset: str
    results: str
    device: dict[str, Any]
    """As Device.summary returns it."""
    cells: list[Row]
    totals: dict[str, Any]
    warnings: list[str]


def build_plan(configuration: Configuration, results: Path, site: Site | None, gpu: str | None) -> Plan:
    """Plan every cell. Finished runs of all presets next to `results` calibrate the estimates."""
    manifests = read_manifests(results)
    runs = _finished_runs(configuration, results, manifests)
    device = choose_device(site, gpu, list(runs.values()), manifests.keys())
    records = survey(configuration, results, manifests)
    planner = CellPlanner(
        configuration, results, device, manifests, runs, notice_seconds=site.notice_seconds if site else None
    )
    rows = planner.rows(records)
    generation = GenerationPlanner(planner, records)
    cell_hours = generation.cell_hours()
    for cell, row in zip(configuration.cells, rows, strict=True):
        row.answering_gpu_hours = cell_hours[cell]
    judging = judge_costs(configuration, results)
    shapes = {row.model: planner.shape(row.model) for row in rows}
    totals = _totals(rows, shapes, device)
    totals |= {"answering": generation.totals(), "judging": [asdict(cost) for cost in judging]}
    warnings = [
        *_wrong_counts(configuration, shapes),
        *_over_budget(configuration, judging),
        *_without_chance(configuration),
        *_cell_warnings(rows),
    ]
    return Plan(configuration.preset.preset, str(results), device.summary(), rows, totals, warnings)


def _finished_runs(
    configuration: Configuration, results: Path, own: Mapping[Path, Mapping[str, Any]]
) -> dict[Path, Run]:
    """The finished trainings of this preset, whose manifests are `own`, and of the presets next to it."""
    models, root = configuration.catalog.models, configuration.root
    shape = cache(lambda preset, model: find_shape(model, models.get(model), preset, root))
    manifests = dict(own)
    for folder in sorted(results.parent.glob("*")):
        if folder != results:
            manifests |= read_manifests(folder)
    runs = (read_run(cell, manifest, shape(cell.parents[3], cell.parts[-3])) for cell, manifest in manifests.items())
    return {run.cell: run for run in runs if run}


def _totals(rows: Sequence[Row], shapes: Mapping[str, Shape | None], device: Device) -> dict[str, Any]:
    trained = [row for row in rows if row.steps is not None]
    to_do = _sum(row.gpu_hours for row in rows if row.state != "done")
    price = device.gpu.price_per_gpu_hour if device.gpu else None
    measured = [row for row in trained if row.state == "done" and row.gpu_hours_measured is not None]
    return {
        "cells": len(rows),
        "states": dict(sorted(Counter(row.state for row in rows).items())),
        "tokens": _sum(row.tokens for row in rows),
        "flops": _sum(row.flops for row in rows),
        "gpu_hours": _sum(row.gpu_hours for row in rows),
        "gpu_hours_to_do": to_do,
        "cost_to_do": to_do * price if price else None,
        "gpu_hours_of_done": {
            "estimated": _sum(row.gpu_hours for row in measured),
            "measured": _sum(row.gpu_hours_measured for row in measured),
        },
        "disk_tuned_models": _sum(row.disk for row in rows),
        "disk_base_models": _sum(shape.file_size for shape in shapes.values() if shape),
        "disk_checkpoints_of_one_cell": max((row.checkpoints or 0.0 for row in rows), default=0.0),
        "unknown": sum(row.gpu_hours is None for row in trained),
    }


def _sum(values: Iterable[float | None]) -> float:
    return float(sum(value for value in values if value is not None))


def _wrong_counts(configuration: Configuration, shapes: Mapping[str, Shape | None]) -> Iterator[str]:
    """Warn of models whose `parameters` in the catalog are not those of their shape."""
    for name, shape in sorted(shapes.items()):
        parameters = configuration.catalog.models[name].parameters
        if shape and parameters and parameters != shape.total:
            key = f"{configuration.preset.catalog}: models.{name}.parameters"
            yield f"{key}: found {parameters:,}, expected {shape.total:,}, the count of its architecture"


def _over_budget(configuration: Configuration, judging: Sequence[JudgeCost]) -> Iterator[str]:
    budget, cost = configuration.preset.judge_budget, _sum(judge.cost for judge in judging)
    if budget is not None and cost > budget:
        yield f"judging would cost about {cost:,.2f}, more than judge_budget, {budget:g}: judges will refuse to start"


def _without_chance(configuration: Configuration) -> Iterator[str]:
    """Warn of datasets of which everything is tuned on, so that borrowing from them cannot be compared with chance."""
    lineage = configuration.traced
    names: dict[str, None] = {}
    for cell, evalsets in configuration.cells.items():
        for evalset in evalsets:
            traced, held_out = lineage.traced_datasets(cell, evalset), lineage.held_out(cell, evalset)
            names |= dict.fromkeys(name for name in traced if name not in held_out)
    if names:
        yield (
            f"tracing: borrowing from {', '.join(names)} has no chance level, which needs instances that no cell was tuned on: "
            "trace cells tuned on a subset (name@size), or set `held_out` of their methods"
        )


def _cell_warnings(rows: Iterable[Row]) -> Iterator[str]:
    """Each warning of a cell once, with the number of cells that have it."""
    cells: dict[str, list[str]] = {}
    for row in rows:
        for warning in row.warnings:
            cells.setdefault(warning, []).append(row.cell)
    for warning, names in cells.items():
        yield f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {warning}"
