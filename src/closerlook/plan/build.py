"""The whole plan: rows, totals and warnings, as a value that can be printed or written as JSON."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from closerlook.cluster.survey import read_manifests, survey
from closerlook.config.load import Configuration
from closerlook.config.site import Site
from closerlook.plan.answers import Answering
from closerlook.plan.cells import Planner, Row
from closerlook.plan.judge_cost import JudgeCost, calls_and_cost
from closerlook.plan.measured import run_of
from closerlook.plan.shape import Shape, shape_of
from closerlook.plan.target import Target, choose


@dataclass(frozen=True)
class Plan:
    """A plan of all cells. Sums leave out what is None, and say in `unknown` for how many cells that is so."""

    preset: str
    results: str
    target: Target
    rows: list[Row]
    totals: dict[str, Any]
    warnings: list[str]

    def as_json(self) -> dict[str, Any]:
        """The plan as JSON: preset, results, device, cells, totals, warnings."""
        gpu = self.target.gpu
        device = {
            "name": self.target.name,
            "told": self.target.told,
            "flops_per_second": self.target.rate(),
            "measured_runs": len(self.target.runs),
            "partition": gpu.partition if gpu else None,
        }
        cells = [asdict(row) for row in self.rows]
        return {
            "preset": self.preset,
            "results": self.results,
            "device": device,
            "cells": cells,
            "totals": self.totals,
            "warnings": self.warnings,
        }


def make(configuration: Configuration, results: Path, site: Site | None, gpu: str | None) -> Plan:
    """Plan every cell. Finished runs of all presets beside `results` calibrate the estimates."""
    manifests = read_manifests(results)
    everything = dict(manifests)
    for folder in sorted(results.parent.glob("*")):
        if folder != results:
            everything |= read_manifests(folder)
    shapes: dict[Path, Shape | None] = {}
    runs = {}
    for cell, manifest in everything.items():
        base = cell.parents[3] / "models" / cell.parts[-3]
        if base not in shapes:
            entry = configuration.catalog.models.get(base.name)
            shapes[base] = shape_of(base.name, entry, cell.parents[3], configuration.root)
        if run := run_of(cell, manifest, shapes[base]):
            runs[cell] = run
    target = choose(site, gpu, list(runs.values()), set(manifests))
    found = survey(configuration, results, manifests)
    planner = Planner(configuration, results, target, manifests, runs)
    rows = list(planner.rows(found))
    answering = Answering(configuration, results, target, found, {row.model: row.parameters for row in rows})
    for row, hours in zip(rows, answering.of_cells(), strict=True):
        row.answering_gpu_hours = hours
    judging = calls_and_cost(configuration, results)
    return Plan(
        configuration.preset.preset,
        str(results),
        target,
        rows,
        _totals(rows, planner, target) | {"answering": answering.totals(), "judging": [asdict(one) for one in judging]},
        [*_wrong_counts(configuration, planner), *_over_budget(configuration, judging), *_grouped(rows)],
    )


def _over_budget(configuration: Configuration, judging: list[JudgeCost]) -> Iterator[str]:
    budget, cost = configuration.preset.judge_budget, sum(one.cost or 0.0 for one in judging)
    if budget is not None and cost > budget:
        yield f"judging would cost about {cost:,.2f}, more than judge_budget, {budget:g}: judges will refuse to begin"


def _totals(rows: list[Row], planner: Planner, target: Target) -> dict[str, Any]:
    todo = [row for row in rows if row.state != "done"]
    trained = [row for row in rows if row.steps is not None]
    hours = _sum(row.gpu_hours for row in rows)
    remaining = _sum(row.gpu_hours for row in todo)
    price = target.gpu.price_per_gpu_hour if target.gpu else None
    done = [row for row in trained if row.state == "done" and row.gpu_hours_measured is not None]
    return {
        "cells": len(rows),
        "states": dict(sorted(Counter(row.state for row in rows).items())),
        "tokens": _sum(row.tokens for row in rows),
        "flops": _sum(row.flops for row in rows),
        "gpu_hours": hours,
        "gpu_hours_to_do": remaining,
        "cost_to_do": remaining * price if price else None,
        "gpu_hours_of_done": {
            "estimated": _sum(row.gpu_hours for row in done),
            "measured": _sum(row.gpu_hours_measured for row in done),
        },
        "disk_tuned_models": _sum(row.disk for row in rows),
        "disk_base_models": _sum(
            shape.total * (4 if shape.architecture.dtype == "float32" else 2)
            for shape in planner.shapes.values()
            if shape
        ),
        "disk_checkpoints_of_one_cell": max((row.checkpoints or 0.0 for row in rows), default=0.0),
        "unknown": sum(row.gpu_hours is None for row in trained),
    }


def _sum(values: Any) -> float:
    return float(sum(value for value in values if value is not None))


def _wrong_counts(configuration: Configuration, planner: Planner) -> list[str]:
    """The catalog's two statements about a model must agree."""
    found = []
    for name, shape in sorted(planner.shapes.items()):
        said = configuration.catalog.models[name].parameters
        if shape and said and said != shape.total:
            found.append(
                f"{configuration.preset.catalog}: models.{name}.parameters: found {said:,}, expected {shape.total:,}, "
                "which its shape gives"
            )
    return found


def _grouped(rows: list[Row]) -> list[str]:
    """Each warning once, with the cells that it is about."""
    cells: dict[str, list[str]] = {}
    for row in rows:
        for warning in row.warnings:
            cells.setdefault(warning, []).append(row.cell)
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {warning}"
        for warning, names in cells.items()
    ]
