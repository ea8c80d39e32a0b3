"""Whether doctor says which data of benchmark tasks are here."""

import copy
import json
from pathlib import Path

import pytest
from tests.support import REPOSITORY
from tests.support.preset import PRESET

from closerlook.config.load import load
from closerlook.doctor.benchmarks import check_benchmarks


def test_data_are_here_or_still_to_be_fetched_or_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    preset = copy.deepcopy(PRESET) | {"benchmarks": ["miniature", "hellaswag"]}
    configuration = load(preset, "mine.yaml", root=tmp_path, workflow=REPOSITORY)
    (check,) = check_benchmarks(configuration, tmp_path)
    assert (check.what, check.state) == ("benchmark hellaswag", "ok")
    assert "not here yet" in check.detail
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (check,) = check_benchmarks(configuration, tmp_path)
    assert (check.state, "HF_HUB_OFFLINE" in check.detail) == ("FAILED", True)
    folder = tmp_path / "benchmarks/hellaswag"
    folder.mkdir(parents=True)
    (folder / "task.json").write_text(json.dumps({"items": 31}))
    (check,) = check_benchmarks(configuration, tmp_path)
    assert (check.state, check.detail) == ("ok", f"31 items in {folder}")
    (folder / "task.json").write_text("{")  # damaged
    (check,) = check_benchmarks(configuration, tmp_path)
    assert check.state == "FAILED"
