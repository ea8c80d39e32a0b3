"""Every launch of the catalog is the smallest that holds its model, by the plan's own estimate."""

import pytest
from tests.support import REPOSITORY

from closerlook.config.catalog import Launch
from closerlook.config.load import read
from closerlook.config.settings import TrainSettings
from closerlook.plan.cells import USABLE_MEMORY
from closerlook.plan.device import ASSUMED_GPU
from closerlook.plan.memory import TrainingMemory, Zero
from closerlook.plan.shape import Shape
from closerlook.plan.work import Lengths

MODELS = read("config/mini.yaml", REPOSITORY).catalog.models
LONGEST = 2048
"""max_length of the catalog's methods."""
LONG = Lengths(LONGEST, LONGEST / 2, LONGEST**2, LONGEST, "test")
"""The longest instances alone: as much as a training can need."""
USABLE = USABLE_MEMORY * ASSUMED_GPU.gpu_memory_gb * 1e9
LAUNCHES = [(name, kind) for name, model in MODELS.items() for kind in model.launch]


def needs(name: str, kind: str, **changes: object) -> float:
    """Bytes on each GPU, if a launch is changed like this."""
    model = MODELS[name]
    assert model.architecture is not None
    shape, launch = Shape(model.architecture), model.launch[kind].model_copy(update=changes)
    zero = None
    if launch.deepspeed:
        zero = Zero.parse((REPOSITORY / launch.deepspeed).read_text(), shape.hidden, launch.deepspeed)
    return TrainingMemory(shape, TrainSettings(kind=kind), launch, zero, "bfloat16", LONG).per_gpu(launch.ranks).total


@pytest.mark.parametrize(("name", "kind"), LAUNCHES)
def test_a_launch_fits_and_one_of_half_the_gpus_does_not(name: str, kind: str) -> None:
    launch: Launch = MODELS[name].launch[kind]
    assert needs(name, kind) <= USABLE
    if launch.ranks > 1:
        assert needs(name, kind, ranks=launch.ranks // 2) > USABLE
    assert launch.ranks <= TrainSettings(kind=kind).batch_size
    assert launch.micro_tokens is not None
    assert launch.micro_tokens >= LONGEST


@pytest.mark.parametrize(("name", "kind"), LAUNCHES)
def test_no_launch_is_slower_than_its_memory_demands(name: str, kind: str) -> None:
    """DeepSpeed only for several ranks, stage 3 only where 2 does not do, checkpointing only where it must be."""
    launch = MODELS[name].launch[kind]
    if launch.gradient_checkpointing:
        roomy = max(
            LONGEST * 3 // 2, 1
        )  # a micro-batch of fewer tokens is slower than one whose activations are recomputed
        assert needs(name, kind, gradient_checkpointing=False, micro_tokens=roomy) > USABLE
    if launch.ranks == 1:
        assert launch.deepspeed is None
    elif "zero3" in (launch.deepspeed or ""):
        assert needs(name, kind, deepspeed="config/deepspeed/zero2.json") > USABLE
