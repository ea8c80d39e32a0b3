"""The plan tells what judges behind an endpoint will cost, and when that is more than may be spent."""

import copy
from pathlib import Path
from typing import Any

import pytest
from tests.support import REPOSITORY

from closerlook.config import load
from closerlook.plan.build import Plan, build_plan
from closerlook.plan.text import plan_lines

PRESET: dict[str, Any] = {
    "preset": "judged",
    "template": "miniature",
    "grid": [
        {"models": ["miniature"], "datasets": ["brief"], "methods": ["lft", "sft"], "evalsets": ["questions"]},
        {"models": ["miniature"], "methods": ["base"], "evalsets": ["questions"]},
    ],
    "judges": ["oracle", "paid"],
    "overrides": {
        "miniature": {"questions": 50},
        "judges": {"paid": {"openai": "some-model", "input_price": 1000.0, "output_price": 3000.0}},
    },
}


def plan(folder: Path, **changes: Any) -> Plan:
    (folder / "config").symlink_to(REPOSITORY / "config")
    configuration = load.load(copy.deepcopy(PRESET) | changes, "judged.yaml", folder)
    return build_plan(configuration, folder / "results/judged", None, None)


def test_judge_costs(tmp_path: Path) -> None:
    planned = plan(tmp_path)
    (cost,) = planned.totals["judging"]
    assert (cost["judge"], cost["calls"], cost["guessed"], cost["cached"]) == ("paid", 150, 150, 0)
    assert cost["cost"] == pytest.approx((1000 * cost["input_tokens"] + 3000 * cost["output_tokens"]) / 1e6)
    assert any(line.startswith("judging by paid: 150 calls still to do") for line in plan_lines(planned))
    assert not any("judge_budget" in warning for warning in planned.warnings)


def test_more_than_may_be_spent(tmp_path: Path) -> None:
    planned = plan(tmp_path, judge_budget=1.0)
    assert any("more than judge_budget, 1:" in warning for warning in planned.warnings)


def test_no_judge_that_is_paid(tmp_path: Path) -> None:
    assert plan(tmp_path, judges=["oracle"]).totals["judging"] == []
