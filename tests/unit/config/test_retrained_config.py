"""Retraining in a preset: cells that are only trained, on parts of the data, and what is refused."""

import copy
from typing import Any

import pytest
from tests.support.tracing_preset import PRESET, read, row

from closerlook.config.rows import grid_rows
from closerlook.config.stages import stages
from closerlook.core.errors import CloserlookError


@pytest.fixture
def preset() -> dict[str, Any]:
    return copy.deepcopy(PRESET)


RETRAINED = "miniature/brief/sft"


def _retrained(preset: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """The preset with a block of cells that are only trained, for the cell RETRAINED."""
    block = {
        "models": ["miniature"],
        "datasets": ["brief@400"],
        "methods": ["sft"],
        "seeds": [*range(8)],
        "redraw": True,
    }
    preset["grid"].append(block | changed)
    preset["tracing"]["retrained"] = {RETRAINED: "brief@400"}
    return preset


def test_cells_tuned_on_parts_of_the_data_are_only_trained_and_measured(preset: dict[str, Any]) -> None:
    preset["tracing"]["attribution"] = [RETRAINED, "miniature/brief/lft"]
    preset["benchmarks"] = ["miniature"]
    before = read(preset)
    configuration = read(_retrained(preset, methods=["lft", "sft"], seeds=[*range(9)]))
    assert [each.cell for each in grid_rows(configuration)] == [each.cell for each in grid_rows(before)]
    parts = ["miniature/brief@400/sft", *(f"miniature/brief@400-d{seed}/sft-s{seed}" for seed in range(1, 9))]
    assert row(configuration, RETRAINED).retrained == parts, "of the same method"
    assert {each.cell for each in grid_rows(configuration) if each.retrained} == {RETRAINED}
    for name in parts:
        assert [stage.name for stage in stages(configuration, configuration.cell_of[name])] == ["train"]
    cell = configuration.cell_of[RETRAINED]
    made = {stage.name: stage for stage in stages(configuration, cell)}
    added = {f"{stage}-{marker}" for stage in ("instance_scores", "retrained") for marker in ("oracle", "consistency")}
    assert made.keys() - {stage.name for stage in stages(before, before.cell_of[RETRAINED])} == added
    assert {f"cells/{name}/manifest.json" for name in parts} < {*made["retrained-oracle"].inputs}
    lineage = configuration.traced
    assert lineage.kept_by_attribution(cell) == 800, "the scores of all instances count"
    assert lineage.kept_by_attribution(configuration.cell_of["miniature/brief/lft"]) == 10
    assert before.traced.kept_by_attribution(before.cell_of[RETRAINED]) == 10


def test_only_draws_of_their_own_count_as_parts(preset: dict[str, Any]) -> None:
    again = {"models": ["miniature"], "datasets": ["brief@400"], "methods": ["sft"], "seeds": [11, 12]}
    preset["grid"].append(again | {"evalsets": ["questions"]})
    names = row(read(_retrained(preset)), RETRAINED).retrained
    assert len(names) == 8, "another training on the same part tells nothing of other parts"
    assert not any(name.endswith(("s11", "s12")) for name in names)


@pytest.mark.parametrize(
    ("block", "tracing", "said"),
    [
        pytest.param({}, {"retrained": {}}, "grid[3].evalsets: found [], expected an evalset", id="of nothing"),
        pytest.param(
            {"methods": ["sft", "base"]},
            {},
            "grid[3].evalsets: found [], expected an evalset",
            id="a control trains nothing",
        ),
        pytest.param(
            {"datasets": ["brief@400", "brief@200"]},
            {},
            "grid[3].evalsets: found []",
            id="parts that nothing is measured on",
        ),
        pytest.param(
            {},
            {"retrained": {"miniature/brief/sftt": "brief@400"}},
            "tracing.retrained: found 'miniature/brief/sftt', expected a traced cell",
            id="no cell",
        ),
        pytest.param(
            {},
            {"retrained": {"miniature/brief/sftt": "brief@400"}},
            "did you mean miniature/brief/sft?",
            id="nearest cell",
        ),
        pytest.param(
            {},
            {"retrained": {"miniature/none/base": "brief@400"}},
            "expected a traced cell",
            id="a control has no data",
        ),
        pytest.param({}, {"datasets": ["brief-elsewhere"]}, "expected a traced cell", id="a cell that is not traced"),
        pytest.param(
            {"evalsets": ["questions"]},
            {"retrained": {"miniature/brief@400/sft": "brief@400"}},
            "expected a cell that is tuned on a whole dataset",
            id="part of a part",
        ),
        pytest.param(
            {"evalsets": ["questions"]},
            {"retrained": {RETRAINED: "breif@400"}},
            "tracing.retrained.miniature/brief/sft: found 'breif@400', expected a dataset: one of",
            id="no dataset",
        ),
        *(
            pytest.param(
                {"evalsets": ["questions"]},
                {"retrained": {RETRAINED: part}},
                f"tracing.retrained.miniature/brief/sft: found '{part}', expected a part of brief, which miniature/brief/sft is "
                "tuned on, such as brief@400",
                id=part,
            )
            for part in (
                "brief",
                "brief@800",
                "brief@9k",
                "brief@0",
                "brief@half",
                "brief@400-d1",
                "brief-elsewhere@400",
            )
        ),
        pytest.param(
            {"seeds": [*range(7)]},
            {},
            "found 'brief@400', expected a part of which sft is tuned on at least 8 draws in the grid, not 7",
            id="too few",
        ),
        pytest.param({"redraw": False}, {}, "at least 8 draws in the grid, not 1", id="one part for all seeds"),
        pytest.param({"methods": ["lft"]}, {}, "at least 8 draws in the grid, not 0", id="another method"),
        pytest.param(
            {}, {"retrained": {RETRAINED: 400}}, "tracing.retrained.miniature/brief/sft: found 400", id="a number alone"
        ),
    ],
)
def test_parts_that_cannot_be_compared_are_refused(
    preset: dict[str, Any], block: dict[str, Any], tracing: dict[str, Any], said: str
) -> None:
    _retrained(preset, **block)["tracing"].update(tracing)
    with pytest.raises(CloserlookError) as refused:
        read(preset)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"markers": []}, "expected a cell whose spans a marker marks"),
        ({"overrides": {"methods": {"sft": {"train": {"held_out": 80}}}}}, "and holds out nothing"),
    ],
)
def test_retraining_needs_marked_spans_and_all_of_the_data(
    preset: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    if "markers" in change:  # the causal test needs one too
        preset["grid"][1]["datasets"] = ["brief@100", "brief-elsewhere"]
    with pytest.raises(CloserlookError, match=r"tracing\.retrained: found 'miniature/brief/sft'") as refused:
        read(_retrained(preset) | change)
    assert said in str(refused.value)
