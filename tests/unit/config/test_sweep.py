"""A sweep of learning rates: ordinary cells under names of their own, or a refusal that says what to mend."""

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.support import REPOSITORY

from closerlook.config import load
from closerlook.config.rows import grid_rows
from closerlook.config.sweep import name_at
from closerlook.core.errors import CloserlookError

FILE = "config/mine.yaml"
PRESET = {
    "preset": "mine",
    "template": "miniature",
    "grid": [
        {
            "models": ["miniature"],
            "datasets": ["brief@100"],
            "methods": ["lft", "sft", "nft"],
            "evalsets": ["questions"],
        },
        {"models": ["miniature"], "methods": ["base"], "evalsets": ["questions"]},
    ],
    "sweep": {"lft": {"learning_rate": [0.0005, 0.00015]}, "sft": {"learning_rate": [0.00005]}},
    "overrides": {"methods": {name: {"train": {"held_out": 20}} for name in ("lft", "sft")}},
}


@pytest.fixture
def preset() -> dict:
    return copy.deepcopy(PRESET)


def test_every_rate_is_a_cell(preset: dict) -> None:
    configuration = load.load(preset, FILE, REPOSITORY)
    expected = {"lft-lr5e-4": 0.0005, "lft-lr1.5e-4": 0.00015, "sft-lr5e-5": 0.00005, "nft": 5e-5}
    settings = {c.method: configuration.train_settings(c) for c in configuration.cells if c.dataset}
    assert {name: train.learning_rate for name, train in settings.items()} == expected
    assert [train.held_out for train in settings.values()] == [20, 20, 20, 0]
    assert [train.kind for train in settings.values()] == ["lora", "lora", "full", "full"]
    families = {row.method: row.sweep for row in grid_rows(configuration)}
    assert families == {"lft-lr5e-4": "lft", "lft-lr1.5e-4": "lft", "sft-lr5e-5": "sft", "nft": "", "base": ""}


def test_without_a_sweep_nothing_changes(preset: dict) -> None:
    swept = load.load(preset, FILE, REPOSITORY)
    del preset["sweep"]
    plain = load.load(preset, FILE, REPOSITORY)
    assert [cell.method for cell in plain.cells] == ["lft", "sft", "nft", "base"]
    assert plain.catalog.methods.keys() < swept.catalog.methods.keys()


@given(st.lists(st.floats(1e-12, 1e3, exclude_min=True), min_size=1, max_size=20, unique=True))
def test_names_tell_rates_apart_and_give_them_back(rates: list[float]) -> None:
    names = [name_at("lft", rate) for rate in rates]
    assert [float(name.removeprefix("lft-lr")) for name in names] == rates
    assert not any(set(name) & set("/+ @") for name in names)


def _refused(preset: dict) -> str:
    with pytest.raises(CloserlookError) as refusal:
        load.load(preset, FILE, REPOSITORY)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ({"lfft": {"learning_rate": [1e-3]}}, ["sweep.lfft", "a method that trains", "did you mean lft?"]),
        ({"base": {"learning_rate": [1e-3]}}, ["sweep.base", "a method that trains"]),
        ({"bias": {"learning_rate": [1e-3]}}, ["sweep.bias", "a method of the grid"]),
        ({"nft": {"learning_rate": [1e-3]}}, ["overrides.methods.nft.train.held_out: found 0, expected 1 or more"]),
        ({"lft": {"learning_rate": [1e-3, 2e-3, 1e-3]}}, ["sweep.lft.learning_rate[2]: found 0.001", "each rate once"]),
        ({"lft": {"learning_rate": []}}, ["sweep.lft.learning_rate"]),
        ({"lft": {"learning_rate": [0.0]}}, ["sweep.lft.learning_rate[0]", "greater than 0"]),
        (
            {"lft": {"learning_rate": ["5e-5"]}},
            ["sweep.lft.learning_rate[0]", "YAML reads 5e-5 as text; write 5.0e-05"],
        ),
        ({"lft": {"epochs": [1]}}, ["sweep.lft.epochs", "no such key"]),
    ],
)
def test_what_cannot_be_swept_is_refused(preset: dict, sweep: dict, expected: list[str]) -> None:
    preset["sweep"] = sweep
    message = _refused(preset)
    assert all(words in message for words in expected), message


def test_what_the_refusal_says_to_write_is_a_number() -> None:
    assert yaml.safe_load("5.0e-05") == 5e-5


def test_a_name_that_is_taken_is_refused(preset: dict) -> None:
    preset["overrides"]["methods"]["lft-lr5e-4"] = {"train": {"kind": "lora"}}
    assert "methods.lft-lr5e-4: found 'lft-lr5e-4', expected another name" in _refused(preset)


@pytest.mark.parametrize("held_out", [100, 5000])
def test_a_subset_that_is_all_held_out_is_refused(preset: dict, held_out: int) -> None:
    preset["overrides"]["methods"]["lft"]["train"]["held_out"] = held_out
    assert f"grid[0].datasets[0]: found 'brief@100', expected more than the {held_out:,} instances" in _refused(preset)


def test_the_preset_matched_holds_out_the_same_for_every_rate() -> None:
    configuration = load.read("config/matched.yaml", Path(REPOSITORY))
    settings = [configuration.train_settings(cell) for cell in configuration.cells if cell.dataset]
    assert len(settings) == 32
    assert {train.held_out for train in settings} == {200}
