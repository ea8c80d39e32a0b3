"""The training of each cell in numbers. No times, so that the same training gives the same table."""

import json
from collections.abc import Iterator
from pathlib import Path

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.report.tables import metrics
from closerlook.report.tables.table import IDENTITY, Measured, Part, Table
from closerlook.stats.bootstrap import Estimate


def measure_training(manifest: Path, log: Path) -> Iterator[Measured]:
    """Counts from the manifest, the first and the last loss from the log. Raises CloserlookError if either is incomplete."""
    try:
        facts = json.loads(manifest.read_text(encoding="utf-8"))
        losses = [json.loads(line)["loss"] for line in log.read_text(encoding="utf-8").splitlines()]
        values = {
            "instances": facts["data"]["used"],
            "cut_by_max_length": facts["data"]["cut_by_max_length"],
            "dropped_prompt_too_long": facts["data"]["dropped_prompt_too_long"],
            "steps": facts["steps"],
            "trainable_parameters": facts["parameters"]["trainable"],
            "tokens": facts["tokens"],
            "trained_tokens": facts["trained_tokens"],
            "first_loss": losses[0],
            "final_loss": losses[-1],
        }
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise CloserlookError(
            f"{manifest.parent}: manifest.json or train_log.jsonl is not whole ({error!r}); train it again"
        ) from None
    for metric, value in values.items():
        yield {}, metric, Estimate(float(value), n=1)


CELLS = Table(
    name="cells",
    title="Trained cells",
    caption=(
        "One row per trained cell: instances, steps, parameters, tokens and losses of its training. The first and the "
        "final loss are each that of a single batch."
    ),
    metrics=metrics.CELLS,
    unit="",
    parts=(
        Part(
            IDENTITY[:-1],
            (layout.manifest("{cell}"), layout.train_log("{cell}")),
            measure_training,
            tuple(metrics.CELLS),
        ),
    ),
)
