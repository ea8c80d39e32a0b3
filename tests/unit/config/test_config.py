"""Every mistake a person can make in a preset or the catalog is refused with file, key, found, expected and the nearest name."""

import copy
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.support import REPOSITORY
from tests.support.preset import FILE, PRESET

from closerlook import cli
from closerlook.config import load
from closerlook.config.grid import Cell, dataset_and_size, draw_of
from closerlook.config.yaml_file import read_yaml
from closerlook.core.errors import CloserlookError


@pytest.fixture
def preset() -> dict:
    return copy.deepcopy(PRESET)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with the real catalog and templates, for tests that break them."""
    for name in ("catalog.yaml", "prompts", "deepspeed"):
        target = tmp_path / "config" / name
        target.parent.mkdir(exist_ok=True)
        target.symlink_to(REPOSITORY / "config" / name)
    return tmp_path


def test_a_right_preset_gives_the_union_of_its_blocks(preset: dict) -> None:
    cells = load.load(preset, FILE, REPOSITORY).cells
    assert [cell.name for cell in cells] == [
        "miniature/brief@100/lft",
        "miniature/brief/lft",
        "miniature/brief@100/sft",
        "miniature/brief/sft",
        "miniature/none/base",
    ]


def test_a_seed_names_its_cell_and_reaches_the_training(preset: dict) -> None:
    preset["grid"][0]["seeds"] = [0, 3]
    configuration = load.load(preset, FILE, REPOSITORY)
    cell = configuration.cell_of["miniature/brief/sft-s3"]
    assert configuration.train_settings(cell).seed == 3
    assert configuration.train_settings(configuration.cell_of["miniature/brief/sft"]).seed == 0


def test_a_seed_may_draw_its_own_subset(preset: dict) -> None:
    preset["grid"][0] |= {"seeds": [0, 2], "redraw": True}
    names = [cell.name for cell in load.load(preset, FILE, REPOSITORY).cells]
    assert names[:4] == [
        "miniature/brief@100/lft",
        "miniature/brief@100-d2/lft-s2",
        "miniature/brief/lft",
        "miniature/brief/lft-s2",
    ]
    assert [dataset_and_size(name) for name in ("it@1.5k-d12", "it-d2@9", "it-d2")] == [
        ("it", 1500),
        ("it-d2", 9),
        ("it-d2", None),
    ]
    assert [draw_of(name) for name in ("it@1.5k-d12", "it@1k", "it-d2@9", "it-d2", "it")] == [12, 0, 0, 0, 0]


def _set(preset: dict, keys: str, value: object) -> None:
    *parents, last = [int(key) if key.isdigit() else key for key in keys.split(".")]
    for key in parents:
        preset = preset[key]
    preset[last] = value


MISTAKES = {
    "unknown model": ("grid.0.models", ["minature"], ["grid[0].models[0]", "'minature'", "did you mean miniature?"]),
    "unknown dataset": ("grid.0.datasets", ["brie@100"], ["grid[0].datasets[0]", "'brie@100'", "did you mean brief?"]),
    "unknown method": ("grid.0.methods", ["lfft"], ["grid[0].methods[0]", "'lfft'", "did you mean lft?"]),
    "unknown evalset": ("grid.1.evalsets", ["question"], ["grid[1].evalsets[0]", "did you mean questions?"]),
    "unknown template": ("template", "alpacca", ["template", "'alpacca'", "did you mean alpaca?"]),
    "unknown key": ("templat", "alpaca", ["templat", "no such key", "did you mean template?"]),
    "missing key": ("grid.0", {"models": ["miniature"], "evalsets": ["questions"]}, ["grid[0].methods", "no default"]),
    "no evalset": ("grid.0", {"models": ["miniature"], "methods": ["base"]}, ["grid[0].evalsets", "[]", "an evalset"]),
    "empty grid": ("grid", [], ["grid", "at least 1 item"]),
    "grid is no list": ("grid", {"models": []}, ["grid", "valid list"]),
    "wrong type": ("grid.0.models", "miniature", ["grid[0].models", "'miniature'", "valid list"]),
    "bad name": ("preset", "a/b", ["preset", "'a/b'", "match pattern"]),
    "size too large": ("grid.0.datasets", ["brief@1m"], ["grid[0].datasets[0]", "'brief@1m'", "at most brief's"]),
    "size is none": ("grid.0.datasets", ["brief@some"], ["grid[0].datasets[0]", "whole number of instances"]),
    "size of zero": ("grid.0.datasets", ["brief@0"], ["grid[0].datasets[0]", "whole number of instances"]),
    "size with a fraction": ("grid.0.datasets", ["brief@1.0005k"], ["whole number of instances"]),
    "two spellings": (
        "grid.0.datasets",
        ["brief@100", "brief@0.1k"],
        ["grid[0].datasets[1]", "the spelling brief@100"],
    ),
    "trained on nothing": ("grid.0.datasets", [], ["grid[0].datasets", "lft, sft must be trained on"]),
    "control with data": ("grid.1.datasets", ["brief"], ["grid[1].datasets", "controls train on none"]),
    "negative seed": ("grid.0.seeds", [-1], ["grid[0].seeds[0]", "-1", "0 or more"]),
    "draw is none": ("grid.0.datasets", ["brief@100-d0"], ["grid[0].datasets[0]", "whole number of instances"]),
    "nothing to redraw": (
        "grid.0",
        {**PRESET["grid"][0], "datasets": ["brief"], "redraw": True},
        ["grid[0].redraw", "datasets with @size"],
    ),
    "redrawn longest": (
        "grid.0",
        {**PRESET["grid"][0], "datasets": ["alpaca-longest@1k"], "redraw": True},
        ["grid[0].datasets[0]", "'alpaca-longest@1k'", "its longest instances"],
    ),
    "seed is text": ("grid.0.seeds", ["0"], ["grid[0].seeds[0]", "'0'", "a number"]),
    "cell twice in a block": (
        "grid.0.methods",
        ["lft", "lft"],
        ["grid[0]", "miniature/brief@100/lft", "each cell once"],
    ),
    "no biases": (
        "grid.0",
        {**PRESET["grid"][0], "models": ["gemma-3-270m"], "methods": ["bias"]},
        ["no bias parameters"],
    ),
    "number as text": (
        "overrides",
        {"methods": {"sft": {"train": {"learning_rate": "1e-4"}}}},
        ["overrides.methods.sft.train.learning_rate", "write 0.0001"],
    ),
    "negative learning rate": (
        "overrides",
        {"methods": {"sft": {"train": {"learning_rate": -1.0}}}},
        [FILE, "overrides.methods.sft.train.learning_rate", "greater than 0"],
    ),
    "unknown setting": (
        "overrides",
        {"methods": {"sft": {"train": {"learning_rat": 1.0}}}},
        [FILE, "overrides.methods.sft.train.learning_rat", "did you mean learning_rate?"],
    ),
    "source of no kind": (
        "overrides",
        {"datasets": {"brief": {"source": {"path": "x"}}}},
        [FILE, "overrides.datasets.brief.source", "one of the keys endpoint, file"],
    ),
    "missing file": (
        "overrides",
        {"datasets": {"brief": {"source": {"file": "no/such.jsonl"}}}},
        [FILE, "overrides.datasets.brief.source.file", "'no/such.jsonl'", "exists"],
    ),
    "missing catalog": ("catalog", "config/no.yaml", ["config/no.yaml", "cannot be read"]),
    "new dataset without format": (
        "overrides",
        {"datasets": {"mine": {"source": {"hub": "me/mine"}, "rows": 3}}},
        [FILE, "overrides.datasets.mine.format: found nothing", "no default"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_by_name(preset: dict, mistake: str) -> None:
    keys, value, expected = MISTAKES[mistake]
    _set(preset, keys, value)
    with pytest.raises(CloserlookError) as error:
        load.load(preset, FILE, REPOSITORY)
    for part in expected:
        assert part in str(error.value)


def test_the_same_cell_in_two_blocks_is_refused(preset: dict) -> None:
    preset["grid"].append(
        {"models": ["miniature"], "datasets": ["brief"], "methods": ["sft"], "evalsets": ["questions"]}
    )
    with pytest.raises(CloserlookError, match=r"grid\[2\]: found 'miniature/brief/sft on questions'.*grid\[0\]"):
        load.load(preset, FILE, REPOSITORY)


def test_all_problems_are_told_at_once(preset: dict) -> None:
    preset["grid"][0]["models"] = ["minature"]
    preset["grid"][1]["methods"] = ["bas"]
    with pytest.raises(CloserlookError, match="2 problems") as error:
        load.load(preset, FILE, REPOSITORY)
    assert "minature" in str(error.value)
    assert "'bas'" in str(error.value)


def test_a_problem_of_the_catalog_is_laid_at_its_door(preset: dict, project: Path) -> None:
    catalog = yaml.safe_load((REPOSITORY / "config/catalog.yaml").read_text())
    catalog["datasets"]["brief"]["rows"] = "many"
    (project / "config/broken.yaml").write_text(yaml.safe_dump(catalog))
    preset["catalog"] = "config/broken.yaml"
    with pytest.raises(CloserlookError, match=r"config/broken.yaml: datasets.brief.rows: found 'many'"):
        load.load(preset, FILE, project)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models: [", "not valid YAML"),
        ("a: 1\na: 2\n", "the key a "),
        ("- 1\n", "expected a mapping"),
        ("", "expected a mapping"),
    ],
)
def test_what_is_no_catalog_is_refused(preset: dict, project: Path, text: str, expected: str) -> None:
    (project / "config/broken.yaml").write_text(text)
    preset["catalog"] = "config/broken.yaml"
    with pytest.raises(CloserlookError, match=expected):
        load.load(preset, FILE, project)


def test_an_override_changes_one_value_and_replaces_a_source_whole(preset: dict, tmp_path: Path) -> None:
    preset["overrides"] = {
        "methods": {"sft": {"train": {"learning_rate": 0.25}}},
        "datasets": {"alpaca": {"source": {"hub": "me/alpaca"}}},
    }
    configuration = load.load(preset, FILE, REPOSITORY)
    plain = load.load({**preset, "overrides": {}}, FILE, REPOSITORY)
    sft = configuration.cell_of["miniature/brief/sft"]
    assert configuration.train_settings(sft) == plain.train_settings(sft).model_copy(update={"learning_rate": 0.25})
    assert configuration.catalog.datasets["alpaca"].source.model_dump() == {
        "hub": "me/alpaca",
        "revision": "main",
        "split": "train",
        "config": None,
    }


def test_the_identity_of_a_cell_leaves_out_how_it_is_launched(preset: dict) -> None:
    before = load.load(preset, FILE, REPOSITORY)
    preset["overrides"] = {"models": {"miniature": {"threads": 2, "launch": {"full": {"ranks": 2, "micro_batch": 1}}}}}
    after = load.load(preset, FILE, REPOSITORY)
    for cell in before.cells:
        if cell.dataset:
            assert before.train_settings(cell) == after.train_settings(cell)


@given(st.integers(1, 10**7))
def test_sizes_are_read_as_written(size: int) -> None:
    assert dataset_and_size(f"alpaca@{size}") == ("alpaca", size)
    assert dataset_and_size(f"alpaca@{size}k") == ("alpaca", size * 1000)


@given(st.text())
def test_no_size_is_read_into_what_is_none(text: str) -> None:
    try:
        _, size = dataset_and_size("alpaca@" + text)
    except ValueError:
        return
    assert size is not None
    assert size >= 1


def test_cells_are_told_apart_by_their_names() -> None:
    cells = {Cell(m, d, r, s) for m in "ab" for d in ("x", "x@1k", None) for r in ("lft", "sft") for s in (0, 1)}
    assert len({cell.name for cell in cells}) == len(cells)


@pytest.mark.parametrize("preset_file", sorted((REPOSITORY / "config").glob("*.yaml")), ids=lambda file: file.name)
def test_the_presets_we_ship_are_right(preset_file: Path) -> None:
    if preset_file.name not in ("catalog.yaml", "site.example.yaml", "site.yaml", "mini-full.yaml"):
        assert load.read(f"config/{preset_file.name}", REPOSITORY).cells


def test_the_whole_miniature_is_read_after_the_small_one() -> None:
    small, whole = (read_yaml(REPOSITORY / f"config/{name}.yaml", named=name) for name in ("mini", "mini-full"))
    merged = {**small, **whole, "tracing": small["tracing"] | whole["tracing"]}
    merged["overrides"] = {"methods": small["overrides"]["methods"] | whole["overrides"]["methods"]}
    cells = load.load(merged, FILE, REPOSITORY, REPOSITORY / "config").cells
    assert set(load.read("config/mini.yaml", REPOSITORY).cells) <= set(cells)
    for seed in range(1, 5):
        assert {f"miniature/brief@200-d{seed}/sft-s{seed}", f"miniature/brief/nft-s{seed}"} <= {c.name for c in cells}


@pytest.mark.parametrize("name", cli.SCHEMAS)
def test_the_schemas_for_editors_are_in_step(name: str) -> None:
    written = (REPOSITORY / f"config/schema/{name}.schema.json").read_text()
    assert written == cli.schema_text(cli.SCHEMAS[name]), "run `make schema`"
    assert all(value.get("description") for value in json.loads(written)["properties"].values() if "$ref" not in value)
