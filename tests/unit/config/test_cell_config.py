"""A cell's config.json: what it says, what its two digests depend on, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import REPOSITORY

from closerlook.config import load
from closerlook.config.cell import CellConfig, read_cell_config
from closerlook.config.load import Configuration
from closerlook.core.errors import CloserlookError

PRESET: dict[str, Any] = {
    "preset": "cell",
    "template": "miniature",
    "grid": [
        {"models": ["miniature"], "datasets": ["brief@100"], "methods": ["lft"], "evalsets": ["questions"]},
        {"models": ["miniature"], "methods": ["base"], "evalsets": ["questions"]},
    ],
}
CELL, CONTROL = "miniature/brief@100/lft", "miniature/none/base"


def configuration(root: Path = REPOSITORY, **changes: Any) -> Configuration:
    return load.load(PRESET | changes, "cell.yaml", root)


def config_of(name: str, **changes: Any) -> CellConfig:
    loaded = configuration(**changes)
    return loaded.cell_config(loaded.cell_of[name])


def test_it_says_what_a_reader_looks_for_and_is_read_back_as_written(tmp_path: Path) -> None:
    file, config = tmp_path / "config.json", config_of(CELL)
    config.write(file)
    content = json.loads(file.read_text())
    assert (content["model"], content["dataset"], content["size"], content["method"]) == (
        "miniature",
        "brief@100",
        100,
        "lft",
    )
    assert content["train"]["learning_rate"] == 5e-5
    assert content["template"]["text"] == (REPOSITORY / "config/prompts/miniature.txt").read_text()
    assert read_cell_config(file) == config
    before = file.stat().st_mtime_ns
    config.write(file)
    assert file.stat().st_mtime_ns == before, "the same configuration leaves the file alone"


def test_a_control_has_no_training() -> None:
    config = config_of(CONTROL)
    assert (config.train, config.dataset, config.size) == (None, None, None)


@pytest.mark.parametrize(
    ("changes", "trains", "answers"),
    [
        ({}, False, False),
        ({"overrides": {"methods": {"lft": {"train": {"learning_rate": 1e-3}}}}}, True, False),
        ({"overrides": {"methods": {"lft": {"train": {"held_out": 5}}}}}, True, False),
        ({"generate": {"max_new_tokens": 7}}, False, True),
        ({"overrides": {"templates": {"miniature": {"stop": ["!"]}}}}, False, True),
        ({"overrides": {"templates": {"miniature": {"file": "config/prompts/alpaca.txt"}}}}, True, True),
        (
            {"overrides": {"models": {"miniature": {"launch": {"lora": {"micro_batch": 1}}, "threads": 2}}}},
            False,
            False,
        ),
    ],
)
def test_each_digest_changes_with_what_it_decides_alone(changes: dict[str, Any], trains: bool, answers: bool) -> None:
    before, after = config_of(CELL), config_of(CELL, **changes)
    assert (before.training_digest != after.training_digest) == trains
    assert (before.generation_digest != after.generation_digest) == answers


def test_a_file_that_changed_after_a_job_was_submitted_is_refused(tmp_path: Path) -> None:
    file, config = tmp_path / "config.json", config_of(CELL)
    config.write(file)
    assert read_cell_config(file, config.training_digest) == config
    with pytest.raises(CloserlookError, match=f"found .*{config.training_digest[:12]}, expected 0123"):
        read_cell_config(file, "0123")


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ('{"template": {"text": "{instruction}"}, "trian": {}}', "trian", "did you mean train?"),
        (
            '{"template": {"text": "{instruction}"}, "train": {"kind": "lara"}}',
            "train.kind",
            "'lora', 'full' or 'bias'",
        ),
        ('{"template": {"text": "no place"}}', "template.text", "{instruction} exactly once"),
        ("{}", "template", "no default"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, text: str, key: str, hint: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(CloserlookError) as error:
        read_cell_config(file)
    assert f"{file}: {key}: found" in str(error.value)
    assert hint in str(error.value)


def test_a_missing_or_torn_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CloserlookError, match=r"gone\.json: cannot be read"):
        read_cell_config(tmp_path / "gone.json")
    (tmp_path / "torn.json").write_text('{"template": ')
    with pytest.raises(CloserlookError, match=r"torn\.json"):
        read_cell_config(tmp_path / "torn.json")


def test_a_template_without_a_place_for_the_instruction_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "config").symlink_to(REPOSITORY / "config")
    (tmp_path / "empty.txt").write_text("Answer:")
    overrides = {"templates": {"miniature": {"file": "empty.txt"}}}
    with pytest.raises(CloserlookError, match=r"empty\.txt.*\{instruction\} exactly once"):
        configuration(tmp_path, overrides=overrides)
