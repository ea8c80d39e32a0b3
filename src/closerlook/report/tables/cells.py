"""What the training of each cell amounted to, without the clock: the same training, the same table."""

import json
from collections.abc import Iterator
from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.report.tables.shift import Measured
from closerlook.stats.bootstrap import Estimate


def by_cell(manifest: Path, log: Path) -> Iterator[Measured]:
    """Counts from the manifest, the first and the last loss from the log. Raises CloserlookError where they have none."""
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
