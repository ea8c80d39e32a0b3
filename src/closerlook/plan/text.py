"""A plan as text for the terminal."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from closerlook.config.load import Configuration
from closerlook.config.site import Site
from closerlook.core.files import write_json, write_text
from closerlook.core.terminal import format_count, format_gigabytes, format_hours, format_table, format_whole
from closerlook.plan.build import Plan, build_plan

COLUMNS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("cell", "cell", str),
    ("state", "state", str),
    ("params", "parameters", format_count),
    ("trained", "trainable", format_count),
    ("tokens", "tokens", format_count),
    ("steps", "steps", format_whole),
    ("FLOP", "flops", format_count),
    ("GPUs", "gpus", format_whole),
    ("engine", "engine", lambda value: value or "-"),
    ("fewest", "fewest_gpus", format_whole),
    ("GB/GPU", "memory_per_gpu", format_gigabytes),
    ("measured", "memory_measured", format_gigabytes),
    ("time", "hours", format_hours),
    ("x GPUs", "gpu_hours", format_hours),
    ("measured", "gpu_hours_measured", format_hours),
    ("disk GB", "disk", format_gigabytes),
)
"""Heading, field of a row, and format of each column."""


def write_plan(configuration: Configuration, site: Site | None, json_file: Path, text_file: Path) -> None:
    """Write the plan of the results folder that holds both files."""
    plan = build_plan(configuration, json_file.parent, site, None)
    write_json(asdict(plan), json_file)
    write_text("".join(f"{line}\n" for line in plan_lines(plan)), text_file)


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield the table, the totals, the sources of the estimates, and the warnings."""
    headings = [heading for heading, _, _ in COLUMNS]
    rows = ([format_value(getattr(row, field)) for _, field, format_value in COLUMNS] for row in plan.cells)
    yield from format_table(headings, rows, right=headings[2:])
    totals = plan.totals
    yield ""
    yield f"{totals['cells']} cells: {', '.join(f'{count} {state}' for state, count in totals['states'].items())}"
    missing = f"; without {totals['unknown']} cells that have no estimate" if totals["unknown"] else ""
    yield (
        f"training: {_total_and_to_do(totals)}; "
        f"{format_count(totals['tokens'])} tokens, {format_count(totals['flops'])} FLOP{missing}"
    )
    if totals["cost_to_do"] is not None:
        yield f"cost of what is still to do: {totals['cost_to_do']:,.0f}"
    if (done := totals["gpu_hours_of_done"])["measured"]:
        hours = f"{format_hours(done['estimated'])} of GPU time estimated, {format_hours(done['measured'])} measured"
        yield f"done cells: {hours}"
    for stage, stage_totals in totals["answering"].items():
        yield _generation_line(stage, stage_totals)
    yield from map(_judging_line, totals["judging"])
    yield (
        f"disk: {format_gigabytes(totals['disk_tuned_models'])} GB of tuned models, "
        f"{format_gigabytes(totals['disk_base_models'])} GB of base models, and up to "
        f"{format_gigabytes(totals['disk_checkpoints_of_one_cell'])} GB of checkpoints for each cell while it trains"
    )
    yield f"speed: {plan.device['told']}"
    yield "All but `measured` are estimates (docs/plan.md). Not included: start-up, queues, judges that run here."
    for state in ("stale", "failed"):
        yield from (f"{state}: {row.cell}: {row.why}" for row in plan.cells if row.state == state)
    yield from (f"warning: {warning}" for warning in plan.warnings)


def _generation_line(stage: str, totals: dict[str, Any]) -> str:
    if totals["flops_per_second"] is None:
        return f"{stage}: unknown, since none was measured on this device"
    if totals["unknown"] and not totals["gpu_hours"]:
        return f"{stage}: unknown, until the data are here"
    speed = f"{totals['flops_per_second'] / 1e12:.3g} TFLOP/s"
    runs = totals["measured_runs"]
    read = {"retention": "pieces", "benchmarks": "items"}.get(stage, "responses")
    source = f"the median of {runs} finished" if runs else f"which is assumed, as are the lengths of {read}"
    unknown = f"; {totals['unknown']} have no estimate" if totals["unknown"] else ""
    return f"{stage}: roughly {_total_and_to_do(totals)} ({speed}, {source}){unknown}"


def _judging_line(cost: dict[str, Any]) -> str:
    guessed = f", {cost['guessed']:,} of them with assumed lengths" if cost["guessed"] else ""
    price = "no prices are in the catalog" if cost["cost"] is None else f"cost about {cost['cost']:,.2f}"
    unknown = f"; without {', '.join(cost['unknown'])}, of unknown size" if cost["unknown"] else ""
    return (
        f"{cost['task']} by {cost['judge']}: {cost['calls']:,} calls still to do{guessed} ({cost['cached']:,} are done), "
        f"{format_count(cost['input_tokens'])} tokens in, {format_count(cost['output_tokens'])} out; {price}{unknown}"
    )


def _total_and_to_do(totals: dict[str, Any]) -> str:
    return (
        f"{format_hours(totals['gpu_hours'])} of GPU time in all, {format_hours(totals['gpu_hours_to_do'])} still to do"
    )
