"""Held-out loss: the loss on instances that are not trained on, before the training and after it."""

import math
from typing import Any

import numpy as np
import pyarrow as pa

from closerlook.core.errors import CloserlookError, NonFiniteLoss
from closerlook.train.batches import Instance, micro_batch
from closerlook.train.distributed import Distributed
from closerlook.train.loss import HeadLoss
from closerlook.train.parallel import DataParallel, Zero


def split(rows: pa.Table, held_out: int) -> tuple[pa.Table, pa.Table]:
    """Split rows into those that are trained on and the last `held_out`, which are not."""
    if held_out and held_out >= len(rows):
        raise CloserlookError(f"held_out {held_out}: found {len(rows)} rows, expected more: none is left to train on")
    n_train = len(rows) - held_out
    return rows.slice(0, n_train), rows.slice(n_train)


def losses(engine: DataParallel | Zero, instances: list[Instance], world: Distributed) -> np.ndarray:
    """Cross entropy of each instance, summed over its response tokens: [instances] float64, on every rank.

    One instance per pass, so that neither ranks nor micro-batches change what is measured. Every rank makes equally many
    passes, which ZeRO needs; past the last instance it repeats that one and does not count it.
    """
    summed = np.zeros(len(instances))
    if not instances:
        return summed
    indices = np.arange(world.rank, world.size * math.ceil(len(instances) / world.size), world.size)
    batches = [micro_batch(instances, [min(index, len(instances) - 1)], 0, world.device) for index in indices.tolist()]
    head_loss = HeadLoss(engine.module)
    measured = engine.measure(batches, lambda model, batch: head_loss(model, batch.inputs, batch.targets))
    counted = indices < len(instances)
    summed[indices[counted]] = np.array(measured)[counted]
    return np.array(world.sum(*summed))


def facts(instances: list[Instance], before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    """The manifest's entry on held-out instances. Means are over all tokens together, as in training. Raises NonFiniteLoss."""
    tokens = [len(instance.tokens) - instance.trained_from for instance in instances]
    means = {"base_loss": before.sum() / sum(tokens), "loss": after.sum() / sum(tokens)}
    for name, mean in means.items():
        if not math.isfinite(mean):
            when = "before the training" if name == "base_loss" else "after the last step"
            raise NonFiniteLoss(
                f"the loss of the held-out instances is {mean} {when}. Likely causes: learning_rate is too high for this "
                "model; or the base model's weights are not finite in this precision (try --precision float32)"
            )
    per_instance = {"tokens": tokens, "base_losses": before.tolist(), "losses": after.tolist()}
    return {"instances": len(instances), "trained_tokens": sum(tokens)} | means | per_instance
