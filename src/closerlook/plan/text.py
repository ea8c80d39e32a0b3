"""A plan as a table for people. Plain text: rich needs a quarter of a minute for 10,000 rows, and cuts what a pipe carries."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from closerlook.config.load import Configuration
from closerlook.config.site import Site
from closerlook.core.files import write_json, write_text
from closerlook.plan.build import Plan, make
from closerlook.plan.cells import Row

COLUMNS = (
    "cell", "state", "params", "trained", "tokens", "steps", "FLOP", "GPUs", "fewest", "GB/GPU", "measured",
    "time", "x GPUs", "measured", "disk GB",
)  # fmt: skip


def lines(plan: Plan) -> Iterator[str]:
    """The table, the totals, how the estimates are known, and the warnings."""
    table = [COLUMNS, *(_cells(row) for row in plan.rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        padded = (
            text.ljust(width) if place < 2 else text.rjust(width)
            for place, (text, width) in enumerate(zip(cells, widths, strict=True))
        )
        yield "  ".join(padded)
    yield from _summary(plan)


def write_plan(configuration: Configuration, site: Site | None, as_json: Path, as_text: Path) -> None:
    """Plan the cells of the results folder that both files are written to: one for programs, one for people."""
    plan = make(configuration, as_json.parent, site, None)
    write_json(plan.as_json(), as_json)
    write_text("".join(f"{line}\n" for line in lines(plan)), as_text)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.cell,
        row.state,
        scaled(row.parameters),
        scaled(row.trainable),
        scaled(row.tokens),
        _whole(row.steps),
        scaled(row.flops),
        _whole(row.gpus),
        _whole(row.fewest_gpus),
        _gigabytes(row.memory_per_gpu),
        _gigabytes(row.memory_measured),
        _hours(row.hours),
        _hours(row.gpu_hours),
        _hours(row.gpu_hours_measured),
        _gigabytes(row.disk),
    )


def _summary(plan: Plan) -> list[str]:
    totals = plan.totals
    states = ", ".join(f"{count} {state}" for state, count in totals["states"].items())
    text = [
        "",
        f"{totals['cells']} cells: {states}",
        f"training: {_hours(totals['gpu_hours'])} of GPU time in all, {_hours(totals['gpu_hours_to_do'])} still to do; "
        f"{scaled(totals['tokens'])} tokens, {scaled(totals['flops'])} FLOP"
        + (f"; {totals['unknown']} cells are not in this, for want of an estimate" if totals["unknown"] else ""),
    ]
    if totals["cost_to_do"] is not None:
        text.append(f"cost of what is still to do: {totals['cost_to_do']:,.0f}")
    if (of_done := totals["gpu_hours_of_done"])["measured"]:
        text.append(
            f"done cells: {_hours(of_done['estimated'])} of GPU time estimated, {_hours(of_done['measured'])} measured"
        )
    text += [_answering(stage, told) for stage, told in totals["answering"].items()]
    text += [_judging(told) for told in totals["judging"]]
    text += [
        f"disk: {_gigabytes(totals['disk_tuned_models'])} GB of tuned models, "
        f"{_gigabytes(totals['disk_base_models'])} GB of base models, and up to "
        f"{_gigabytes(totals['disk_checkpoints_of_one_cell'])} GB of checkpoints for each cell while it trains",
        f"speed: {plan.target.told}",
        "All but `measured` are estimates (docs/plan.md). Not in them: start-up, waiting, judges that run here.",
    ]
    stale = [f"stale: {row.cell}: {row.why}" for row in plan.rows if row.state == "stale"]
    failed = [f"failed: {row.cell}: {row.why}" for row in plan.rows if row.state == "failed"]
    return text + stale + failed + [f"warning: {warning}" for warning in plan.warnings]


def _answering(stage: str, told: dict[str, Any]) -> str:
    if told["flops_per_second"] is None:
        return f"{stage}: unknown, since none was measured on this device"
    speed = f"{told['flops_per_second'] / 1e12:.3g} TFLOP/s"
    runs = told["measured_runs"]
    source = f"{speed}, the median of {runs} finished" if runs else f"{speed} and the length of answers are assumptions"
    unknown = f"; {told['unknown']} have no estimate" if told["unknown"] else ""
    return (
        f"{stage}: roughly {_hours(told['gpu_hours'])} of GPU time in all, {_hours(told['gpu_hours_to_do'])} still to do "
        f"({source}){unknown}"
    )


def _judging(told: dict[str, Any]) -> str:
    price = "no prices are in the catalog" if told["cost"] is None else f"cost about {told['cost']:,.2f}"
    guessed = f", {told['guessed']:,} of them about responses that are not there yet" if told["guessed"] else ""
    unknown = f"; without {', '.join(told['unknown'])}, of unknown size" if told["unknown"] else ""
    return (
        f"{told['task']} by {told['judge']}: {told['calls']:,} calls still to do{guessed} ({told['cached']:,} are answered), "
        f"{scaled(told['input_tokens'])} tokens in, {scaled(told['output_tokens'])} out; {price}{unknown}"
    )


def scaled(value: float | None) -> str:
    """Three digits and a unit: 6.74B. T is 10^12, P 10^15, E 10^18, Z 10^21."""
    if value is None:
        return "-"
    for unit, size in (("Z", 1e21), ("E", 1e18), ("P", 1e15), ("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:
            return f"{value / size:#.3g}".rstrip(".") + unit
    return f"{value:.0f}"


def _whole(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _gigabytes(value: float | None) -> str:
    return "-" if value is None else f"{value / 1e9:,.{0 if value >= 1e10 else 1 if value >= 1e8 else 2}f}"


def _hours(value: float | None) -> str:
    """Hours in the unit that suits them."""
    if value is None:
        return "-"
    if value < 1 / 60:
        return f"{value * 3600:.{0 if value >= 10 / 3600 else 1}f} s"
    return (
        f"{value * 60:.{0 if value >= 1 / 6 else 1}f} min" if value < 1 else f"{value:,.{0 if value >= 100 else 1}f} h"
    )
