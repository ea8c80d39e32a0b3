"""A model behind an endpoint only answers: what is refused, what is planned, what it costs."""

import copy
from pathlib import Path
from typing import Any

import pytest
from tests.support import REPOSITORY

from closerlook.config.load import load, read
from closerlook.core.errors import CloserlookError
from closerlook.plan.build import build_plan
from closerlook.plan.text import plan_lines

PRESET: dict[str, Any] = {
    "preset": "asked",
    "template": "alpaca",
    "grid": [{"models": ["gpt"], "methods": ["ask"], "evalsets": ["just-eval-instruct", "medinstruct-test"]}],
    "judges": ["gpt-4-1106-preview"],
    "overrides": {"models": {"gpt": {"source": {"endpoint": "gpt-4-1106-preview"}}}},
}


def refused(**changes: Any) -> str:
    with pytest.raises(CloserlookError) as error:
        load(copy.deepcopy(PRESET) | changes, "asked.yaml", REPOSITORY)
    return str(error.value)


def test_it_cannot_be_trained() -> None:
    message = refused(
        grid=[{"models": ["gpt"], "datasets": ["alpaca"], "methods": ["lft"], "evalsets": ["just-eval-instruct"]}]
    )
    assert "asked.yaml: grid[0].models[0]: found 'gpt'" in message
    assert " lft " in message


def test_its_endpoint_must_be_one() -> None:
    message = refused(overrides={"models": {"gpt": {"source": {"endpoint": "gpt-4"}}}})
    assert "models.gpt.source.endpoint: found 'gpt-4'" in message
    assert "gpt-4-1106-preview" in message
    message = refused(overrides={"models": {"gpt": {"source": {"endpoint": "oracle"}}}})
    assert "models.gpt.source.endpoint: found 'oracle'" in message
    assert "openai" in message


def test_its_plan(tmp_path: Path) -> None:
    """No GPU, no weights to wait for, and what its answers and the judge will cost."""
    (tmp_path / "config").symlink_to(REPOSITORY / "config")
    results = tmp_path / "results/asked"
    configuration = load(copy.deepcopy(PRESET), "asked.yaml", tmp_path)
    planned = build_plan(configuration, results, None, None)
    (row,) = planned.cells
    assert (row.state, row.answering_gpu_hours, row.warnings) == ("new", 0.0, [])
    judging, answering = planned.totals["judging"]
    assert (answering["task"], answering["judge"], answering["calls"], answering["cached"]) == (
        "answering",
        "gpt",
        1016,
        0,
    )
    assert answering["cost"] == pytest.approx((10 * 1016 * 64 + 30 * 1016 * 400) / 1e6)
    assert judging["calls"] == 1016
    assert any(line.startswith("answering by gpt: 1,016 calls still to do") for line in plan_lines(planned))
    for evalset in ("just-eval-instruct", "medinstruct-test"):
        file = results / "evalsets" / f"{evalset}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert build_plan(configuration, results, None, None).cells[0].state == "new"  # models/gpt will never be there


def test_the_whole_papers_price() -> None:
    """Everything has an estimate: 136 cells, of which four train nothing."""
    configuration = read("config/paper.yaml", REPOSITORY)
    planned = build_plan(configuration, REPOSITORY / "results/paper", None, None)
    assert len(planned.cells) == 136
    assert planned.totals["unknown"] == 0
    assert {stage: totals["unknown"] for stage, totals in planned.totals["answering"].items()} == {
        "generate": 0,
        "shift": 0,
    }
    (warning,) = planned.warnings
    assert "borrowing from dolly, lima@1k has no chance level" in warning, "nearly all of both is tuned on"
    assert 300 < planned.totals["gpu_hours"] < 1000
