"""Estimated step times: near the figures that they were made from, and longer where there is more to do."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import REPOSITORY
from tests.support.plan_project import zero

from closerlook.config.load import read
from closerlook.config.settings import EngineSettings, TrainSettings
from closerlook.plan.memory import Zero
from closerlook.plan.shape import Shape
from closerlook.plan.speed import step_seconds
from closerlook.plan.work import count_flops, count_micro_steps

MODELS = read("config/mini.yaml", REPOSITORY).catalog.models
SHAPES = {name: Shape(model.architecture) for name, model in MODELS.items() if model.architecture}
PEAK = 989e12
RATE = 0.40 * PEAK


def seconds(
    model: str, tokens: float, engine: EngineSettings, config: Zero | None, ranks: int, kind: str = "full"
) -> tuple[float, float]:
    """Seconds of a step of `tokens` on each rank, and its MFU."""
    shape, settings = SHAPES[model], TrainSettings(kind=kind)
    flops, repeated = count_flops(shape, settings, tokens, tokens * 0.7, 0.0, engine.gradient_checkpointing)
    micro_steps = count_micro_steps(settings, engine, tokens * ranks, ranks)
    time = step_seconds(shape, settings, engine, config, ranks, micro_steps, flops + repeated, RATE)
    return time, flops / time / PEAK


def test_the_manual_has_these_estimates() -> None:
    """Its table for 7B on eight GPUs, at the default 40% of the peak: ZeRO-3 with checkpointing, and ZeRO-2 without."""
    manual = (REPOSITORY / "docs/plan.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|.*?([\d,]+)\)? \| (\d\S*)% \| (\d\S*)% \|$", manual, re.MULTILINE)
    assert len(rows) == 4
    for written, checkpointing, without in rows:
        tokens = float(written.replace(",", ""))
        engines = ((EngineSettings(gradient_checkpointing=True), zero(3)), (EngineSettings(), zero(2)))
        estimates = [100 * seconds("llama-2-7b", tokens, *engine, 8)[1] for engine in engines]
        assert [float(checkpointing), float(without)] == pytest.approx(estimates, abs=0.6)


@given(
    st.sampled_from(sorted(SHAPES)),
    st.sampled_from(["full", "lora"]),
    st.sampled_from([None, 1, 2, 3]),
    st.integers(1, 32),
    st.floats(10, 50_000),
    st.booleans(),
)
def test_more_work_takes_longer(
    model: str, kind: str, stage: int | None, ranks: int, tokens: float, checkpointing: bool
) -> None:
    config = None if stage is None else zero(stage)
    engine = EngineSettings(micro_batch=32, gradient_checkpointing=checkpointing)
    time, mfu = seconds(model, tokens, engine, config, ranks, kind)
    assert 0 < mfu < 0.40
    assert seconds(model, 2 * tokens, engine, config, ranks, kind)[0] >= time
    small = engine.model_copy(update={"micro_batch": 1})
    assert seconds(model, tokens, small, config, ranks, kind)[0] >= time * 0.999
    if stage == 2:
        assert seconds(model, tokens, engine, zero(3), ranks, kind)[0] > time * 0.9
