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
from closerlook.config.sweep import name_at, rate_of
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
            "sweep": {"learning_rate": {"lft": [0.0005, 0.00015], "sft": [0.00005]}, "held_out": 20},
        },
        {"models": ["miniature"], "methods": ["base"], "evalsets": ["questions"]},
    ],
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
    del preset["grid"][0]["sweep"]
    plain = load.load(preset, FILE, REPOSITORY)
    assert [cell.method for cell in plain.cells] == ["lft", "sft", "nft", "base"]
    assert plain.catalog.methods.keys() < swept.catalog.methods.keys()


@given(st.lists(st.floats(1e-12, 1e3, exclude_min=True), min_size=1, max_size=20, unique=True))
def test_names_tell_rates_apart_and_give_them_back(rates: list[float]) -> None:
    names = [name_at("lft", rate) for rate in rates]
    assert [rate_of(name, "lft") for name in names] == rates
    assert not any(set(name) & set("/+ @") for name in names)


def _refused(preset: dict) -> str:
    with pytest.raises(CloserlookError) as refusal:
        load.load(preset, FILE, REPOSITORY)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({"lfft": [1e-3]}, ["learning_rate.lfft", "a method that trains", "did you mean lft?"]),
        ({"base": [1e-3]}, ["learning_rate.base", "a method that trains"]),
        ({"bias": [1e-3]}, ["learning_rate.bias", "a method of the block"]),
        ({"lft": [1e-3, 2e-3, 1e-3]}, ["learning_rate.lft[2]: found 0.001", "each rate once"]),
        ({"lft": []}, ["learning_rate.lft"]),
        ({}, ["learning_rate"]),
        ({"lft": [0.0]}, ["learning_rate.lft[0]", "greater than 0"]),
        ({"lft": ["5e-5"]}, ["learning_rate.lft[0]", "YAML reads 5e-5 as text; write 5.0e-05"]),
    ],
)
def test_what_cannot_be_swept_is_refused(preset: dict, rates: dict, expected: list[str]) -> None:
    preset["grid"][0]["sweep"]["learning_rate"] = rates
    message = _refused(preset)
    assert all(words in message for words in ["grid[0].sweep", *expected]), message


def test_a_sweep_without_held_out_instances_is_refused(preset: dict) -> None:
    preset["grid"][0]["sweep"]["held_out"] = 0
    assert "grid[0].sweep.held_out: found 0" in _refused(preset)
    del preset["grid"][0]["sweep"]["held_out"]
    assert "grid[0].sweep.held_out" in _refused(preset)


def test_a_sweep_is_of_its_block_alone(preset: dict) -> None:
    """Other blocks keep the method as it is, trained on all instances."""
    preset["grid"].append(preset["grid"][0] | {"datasets": ["verbose"], "methods": ["lft"], "sweep": None})
    configuration = load.load(preset, FILE, REPOSITORY)
    plain = next(cell for cell in configuration.cells if cell.dataset == "verbose")
    assert (plain.method, configuration.train_settings(plain).held_out) == ("lft", 0)


def test_two_blocks_share_a_rate_if_they_hold_out_the_same(preset: dict) -> None:
    rates = {"lft": [0.0005, 0.002]}
    block = {"datasets": ["verbose"], "methods": ["lft"], "sweep": {"learning_rate": rates, "held_out": 20}}
    preset["grid"].append(preset["grid"][0] | block)
    cells = load.load(preset, FILE, REPOSITORY).cells
    assert {cell.method for cell in cells if cell.dataset == "verbose"} == {"lft-lr5e-4", "lft-lr2e-3"}
    block["sweep"]["held_out"] = 30
    assert "grid[2].sweep.held_out: found 30, expected 20, as in grid[0], which has lft-lr5e-4 too" in _refused(preset)


def test_a_cell_may_be_swept_and_not_but_once_each(preset: dict) -> None:
    plain = {name: value for name, value in preset["grid"][0].items() if name != "sweep"}
    preset["grid"].append(plain | {"methods": ["lft"]})
    assert "miniature/brief@100/lft" in load.load(preset, FILE, REPOSITORY).cell_of
    preset["grid"].append(
        preset["grid"][0] | {"methods": ["lft"], "sweep": {"learning_rate": {"lft": [5e-4]}, "held_out": 20}}
    )
    assert "grid[3]: found 'miniature/brief@100/lft-lr5e-4 on questions', expected each cell once" in _refused(preset)


def test_a_sweep_is_not_traced_and_leaves_the_chance_level_of_others_alone(preset: dict) -> None:
    """The rates hold out instances that the method itself is trained on, so these are unseen by some cells only."""
    for block in preset["grid"]:
        block |= {"datasets": ["brief@400"]} if "datasets" in block else {}
    preset["grid"].append({**preset["grid"][0], "methods": ["lft"], "sweep": None})
    preset |= {"markers": ["oracle"], "tracing": {}}
    lineage = load.load(preset, FILE, REPOSITORY).traced
    traced = {cell.method for cell in lineage.cells if lineage.traced_datasets(cell, "questions")}
    assert traced == {"lft", "nft", "base"}
    plain = next(cell for cell in lineage.cells if cell.method == "lft")
    assert [(rest.least, rest.most) for rest in lineage.held_out(plain, "questions").values()] == [(0, 0)]


def test_what_the_refusal_says_to_write_is_a_number() -> None:
    assert yaml.safe_load("5.0e-05") == 5e-5


def test_a_name_that_is_taken_is_refused(preset: dict) -> None:
    preset["overrides"] = {"methods": {"lft-lr5e-4": {"train": {"kind": "lora"}}}}
    assert "methods.lft-lr5e-4: found 'lft-lr5e-4', expected another name" in _refused(preset)


@pytest.mark.parametrize("held_out", [100, 5000])
def test_a_subset_that_is_all_held_out_is_refused(preset: dict, held_out: int) -> None:
    preset["grid"][0]["sweep"]["held_out"] = held_out
    assert f"grid[0].datasets[0]: found 'brief@100', expected more than the {held_out:,} instances" in _refused(preset)


def test_the_preset_matched_holds_out_the_same_for_every_rate() -> None:
    configuration = load.read("config/matched.yaml", Path(REPOSITORY))
    settings = [configuration.train_settings(cell) for cell in configuration.cells if cell.dataset]
    assert len(settings) == 32
    assert {train.held_out for train in settings} == {200}
