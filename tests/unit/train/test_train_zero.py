"""DeepSpeed configurations: the shipped ones, and what is refused."""

import json
import math
import os
import sys
from types import SimpleNamespace

import pytest
import torch
from tests.support import REPOSITORY

from closerlook.config.settings import TrainSettings
from closerlook.core.errors import CloserlookError
from closerlook.models.device import device
from closerlook.train import zero

CONFIGS = REPOSITORY / "config/deepspeed"


def read(path, **changes):
    known = {"bfloat16": True, "ranks": 4, "hidden_size": 64}
    return zero.read_config(path, TrainSettings(kind="full", max_grad_norm=0.7), **(known | changes))


@pytest.mark.parametrize("name", ["zero2", "zero3"])
def test_shipped_configurations_are_complete(name):
    config = read(CONFIGS / f"{name}.json")
    assert '"auto"' not in json.dumps(config)
    assert config["gradient_clipping"] == 0.7
    assert config["bf16"]["enabled"] is True
    product = math.prod(config[key] for key in ("train_micro_batch_size_per_gpu", "gradient_accumulation_steps")) * 4
    assert config["train_batch_size"] == product == 32
    assert zero.stage(config) == int(name[-1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ('{"optimizer": {}, "fp16": {}}', "remove optimizer, fp16; the training settings decide it"),
        ('{"zero_optimization": {"sub_group_size": "auto"}}', 'zero_optimization.sub_group_size is "auto"'),
    ],
)
def test_bad_configurations_are_refused(tmp_path, text, message):
    (tmp_path / "ds.json").write_text(text)
    with pytest.raises(CloserlookError, match=message):
        read(tmp_path / "ds.json")


@pytest.mark.parametrize(("visible", "expected"), [(1, "0"), (4, "3")])
def test_deepspeed_gets_the_number_of_the_device_not_of_the_rank(monkeypatch, visible, expected):
    """Slurm may show each task its own GPU alone, which then has the number 0 for every rank."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: visible)
    monkeypatch.setattr(zero.dist, "get_backend", lambda: "nccl")
    monkeypatch.setenv("LOCAL_RANK", "3")
    given = []
    monkeypatch.setitem(
        sys.modules,
        "deepspeed",
        SimpleNamespace(init_distributed=lambda *_, **__: given.append(os.environ["LOCAL_RANK"])),
    )
    zero.join(device())
    assert given == [expected]
