"""Instances that are not trained on: the loss on them, before the training and after it."""

import math
from typing import Any

import numpy as np
import pyarrow as pa

from closerlook.core.errors import CloserlookError, NonFiniteLoss
from closerlook.train.batches import Instance, micro_batch
from closerlook.train.distributed import World
from closerlook.train.loss import HeadLoss
from closerlook.train.parallel import DataParallel, Zero


def split(rows: pa.Table, held_out: int) -> tuple[pa.Table, pa.Table]:
    """The rows that are trained on, and the last `held_out` of them all, which are not."""
    if held_out and held_out >= len(rows):
        raise CloserlookError(f"held_out {held_out}: found {len(rows)} rows, expected more: none is left to train on")
    taught = len(rows) - held_out
    return rows.slice(0, taught), rows.slice(taught)


def losses(runner: DataParallel | Zero, instances: list[Instance], world: World) -> np.ndarray:
    """Cross entropy of each instance, summed over the tokens it would train: [instances] float64, on every rank.

    One instance per pass: neither ranks nor micro-batches change what is measured. Every rank makes as many passes as the
    others, which ZeRO needs; past the last instance it repeats that one, and does not count it.
    """
    found = np.zeros(len(instances))
    if not instances:
        return found
    places = np.arange(world.rank, world.size * math.ceil(len(instances) / world.size), world.size)
    batches = [micro_batch(instances, [min(place, len(instances) - 1)], 0, world.device) for place in places.tolist()]
    head_loss = HeadLoss(runner.module)
    measured = runner.measure(batches, lambda model, one: head_loss(model, one.inputs, one.targets))
    counted = places < len(instances)
    found[places[counted]] = np.array(measured)[counted]
    return np.array(world.sum(*found))


def facts(instances: list[Instance], before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    """What the manifest says of them. Means are over all tokens together, as in training. Raises NonFiniteLoss."""
    tokens = [len(instance.tokens) - instance.trained_from for instance in instances]
    means = {"base_loss": before.sum() / sum(tokens), "loss": after.sum() / sum(tokens)}
    for name, mean in means.items():
        if not math.isfinite(mean):
            when = "before the training" if name == "base_loss" else "after the last step"
            raise NonFiniteLoss(
                f"the loss of the held-out instances is {mean} {when}. Likely causes: learning_rate is too high for this "
                "model; or the base model's weights are not finite in this precision (try --precision float32)"
            )
    each = {"tokens": tokens, "base_losses": before.tolist(), "losses": after.tolist()}
    return {"instances": len(instances), "trained_tokens": sum(tokens)} | means | each
