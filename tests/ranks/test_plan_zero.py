"""The memory of model states under ZeRO, compared with DeepSpeed's estimators."""

import pytest
from tests.support import REPOSITORY
from tests.support.plan_project import zero

from closerlook.config.load import read
from closerlook.config.settings import EngineSettings, TrainSettings
from closerlook.plan.memory import TrainingMemory, Zero
from closerlook.plan.shape import Shape
from closerlook.plan.work import Lengths

pytestmark = pytest.mark.ranks
CATALOG = read("config/mini.yaml", REPOSITORY).catalog
LENGTHS = Lengths(150.0, 70.0, 2 * 150.0**2, 1000.0, "test")
FULL = TrainSettings(kind="full")


@pytest.mark.parametrize("name", ["gemma-3-270m", "llama-2-7b", "llama-2-70b"])
@pytest.mark.parametrize(("gpus", "nodes"), [(1, 1), (4, 1), (8, 1), (8, 4)])
@pytest.mark.parametrize("offload", [False, True])
def test_model_states_are_those_of_deepspeeds_estimators(name: str, gpus: int, nodes: int, offload: bool) -> None:
    """Equal to the byte, up to rounding, but for what stage 3 gathers: DeepSpeed's estimators take the largest layer alone."""
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

    shape, ranks = Shape(CATALOG.models[name].architecture), gpus * nodes

    def states(config: Zero) -> float:
        estimate = TrainingMemory(shape, FULL, EngineSettings(micro_batch=1), config, "bfloat16", LENGTHS).per_gpu(
            ranks
        )
        return estimate.parameters + estimate.gradients + estimate.optimizer + estimate.buffers

    _, expected = estimate_zero2_model_states_mem_needs(shape.total, gpus, nodes, offload)
    assert states(zero(2, offload_optimizer=offload)) == pytest.approx(expected, abs=2)
    _, expected, largest = estimate_zero3_model_states_mem_needs(shape.total, shape.head, gpus, nodes, offload, False)
    assert states(zero(3, offload_optimizer=offload)) == pytest.approx(expected - largest, abs=2)
    _, expected, largest = estimate_zero3_model_states_mem_needs(shape.total, shape.head, gpus, nodes, True, True)
    assert states(zero(3, offload_optimizer=True, offload_parameters=True)) == pytest.approx(expected - largest, abs=2)
