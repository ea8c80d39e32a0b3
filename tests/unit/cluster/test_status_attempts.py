"""`closerlook status` where attempts.json and failure.json are damaged, foreign or of another stage."""

import json
from typing import Any

import pytest
from tests.support.cell_results import FIRST, Results, attempt, first

from closerlook.cluster import attempts
from closerlook.cluster.status_text import lines

WHOLE = attempt(minutes=1, reason="time limit").model_dump(mode="json")
HOSTILE: list[Any] = [
    None,
    {},
    [None],
    [[]],
    [{}],
    3,
    "x",
    [WHOLE | {"reason": "bored"}],
    [WHOLE | {"started": "yesterday"}],
    [WHOLE | {"pid": None}],
    [WHOLE | {"message": {"a": 1}}],
]


@pytest.mark.parametrize("value", HOSTILE, ids=str)
def test_attempts_that_cannot_be_read_are_none(results: Results, value: Any) -> None:
    results.put_inputs()
    results.put(f"cells/{FIRST}/attempts/train/attempts.json", json.dumps(value))
    assert (first(results).state, first(results).attempts) == ("new", 0)


@pytest.mark.parametrize("cut", [0, 1, 40, 200])
def test_truncated_attempts_are_none(results: Results, cut: int) -> None:
    results.put_inputs()
    results.put(f"cells/{FIRST}/attempts/train/attempts.json", json.dumps([WHOLE])[:cut] or "[" * 100_000)
    assert first(results).state == "new"


@pytest.mark.parametrize(
    "changes",
    [
        {"started": "2026-01-01T10:00:00"},
        {"message": "\ud800\x1b[2J\n"},
        {"log": "/dev"},
        {"log": "a\0b"},
        {"nodes": "\n"},
    ],
    ids=str,
)
def test_odd_attempts_are_shown(results: Results, changes: dict[str, Any]) -> None:
    results.put(f"cells/{FIRST}/attempts/train/attempts.json", json.dumps([WHOLE | changes]))
    row = first(results)
    assert (row.state, row.reason) == ("failed", "time limit")
    "\n".join(lines([row])).encode()
    assert all(line.isprintable() for line in lines([row]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"reason": 3, "message": [1]}',
        '{"log_tail": 3}',
        '{"log_tail": [null, 1]}',
        "\xff",
        "[" * 100_000,
    ],
)
def test_a_failure_alone_is_a_failure(results: Results, text: str) -> None:
    results.put(f"cells/{FIRST}/attempts/train/failure.json", text)
    assert first(results).state == "failed"
    assert first(results).reason
    results.attempt(attempt(minutes=1, reason="disk full"))
    assert first(results).reason == "disk full"


def test_the_attempts_of_one_stage_are_not_those_of_another(results: Results) -> None:
    results.put_manifest()
    results.attempt(attempt("generate", 1, reason="disk full"))
    results.attempt(attempt("shift", 1, reason="unknown"))
    assert (first(results, "generate").reason, first(results, "shift").reason) == ("disk full", "unknown")
    assert attempts.read(results.folder / "cells" / FIRST, "train") == []
