"""Trainings with compiled layers."""

from functools import partial

import pytest
import torch
from pydantic import ValidationError
from tests.support.tiny_training import losses
from tests.support.training import NEEDS_COMPILER
from torch import nn

from closerlook.config.settings import EngineSettings
from closerlook.core.errors import CloserlookError
from closerlook.train import setup
from closerlook.train.compiled import compile_layers


def forget_compiled():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()


def count_graphs():
    """How many graphs were compiled since the last `forget_compiled`."""
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


@pytest.fixture(autouse=True)
def nothing_compiled():
    """Tests start without compiled code, and leave none."""
    forget_compiled()
    yield
    forget_compiled()


@pytest.fixture
def no_code(monkeypatch):
    """Trace the layers and run the traces: all of a compilation but making code, which takes most of the time."""
    monkeypatch.setattr(setup, "compile_layers", partial(compile_layers, backend="aot_eager"))


@NEEDS_COMPILER
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_compiled_code_changes_rounding_alone(trained, precision):
    plain, fast = (trained(f"{on}", compile=on, precision=precision, held_out=4) for on in (False, True))
    # Float32 has 24 bits; bfloat16 has 8, but compiled code rounds less often.
    assert losses(fast) == pytest.approx(losses(plain), rel=1e-5 if precision == "float32" else 0.02)
    assert count_graphs() > 0


@pytest.mark.parametrize("settings", [{"kind": "lora"}, {"kind": "bias"}, {"neftune_alpha": 5.0}])
def test_compiled_with_other_settings(trained, no_code, settings):
    plain, fast = (trained(f"{on}", compile=on, **settings) for on in (False, True))
    assert losses(fast) == pytest.approx(losses(plain), rel=1e-5)
    assert count_graphs() > 0


def test_layers_are_not_compiled_again_for_other_lengths(trained, no_code):
    graphs = []
    for epochs in (1.0, 3.0):
        trained(f"{epochs}", rows=40, epochs=epochs, batch_size=4, micro_batch=2, compile=True)
        graphs.append(count_graphs())
        forget_compiled()
    assert graphs[0] == graphs[1] > 0


def test_a_model_without_layers_to_compile_is_refused():
    with pytest.raises(CloserlookError, match="compile"):
        compile_layers(nn.Linear(2, 2))


@pytest.mark.parametrize("other", [{"deepspeed": "config/deepspeed/zero3.json"}, {"gradient_checkpointing": True}])
def test_compiled_layers_are_refused_with_what_cannot_be_compiled(other):
    with pytest.raises(ValidationError, match=f"compile\n.*{next(iter(other))}"):
        EngineSettings(compile=True, **other)
