"""Which instances a step has, and its learning rate."""

import math
from collections import Counter

import pytest
import torch

from closerlook.core.errors import CloserlookError
from closerlook.train.distributed import Distributed
from closerlook.train.setup import learning_rate


def test_every_instance_once_per_epoch(make_job):
    from closerlook.train.batches import order

    settings = make_job(epochs=3.0, batch_size=7).settings
    steps = order(24, settings)
    assert steps.shape == (math.ceil(3 * 24 / 7), 7)
    flat = steps.ravel().tolist()
    for epoch in range(3):
        assert sorted(flat[epoch * 24 : (epoch + 1) * 24]) == list(range(24))
    assert max(Counter(flat[72:]).values()) == 1
    assert flat[:24] != flat[24:48]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_learning_rate_rises_then_falls_and_is_never_zero(make_job, schedule):
    settings = make_job(schedule=schedule, warmup_ratio=0.1, learning_rate=1.0).settings
    rates = [learning_rate(step, 100, settings) for step in range(100)]
    assert rates[:11] == sorted(rates[:11])
    assert rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert min(rates) > 0
    if schedule != "constant":
        assert rates[-1] < 0.02


def test_more_ranks_than_instances_per_step_is_refused(make_job):

    with pytest.raises(CloserlookError, match=r"batch_size 8 .*ranks, 16"):
        make_job().check_ranks(Distributed(0, 16, torch.device("cpu")))
