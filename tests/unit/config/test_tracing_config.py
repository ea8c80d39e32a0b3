"""Markers, tracing, paraphrases and the causal test in a preset: which cells belong together."""

import copy
from typing import Any

import pytest
from tests.support.tracing_preset import PRESET, read, row, without

from closerlook.config.lineage import FEWEST, Rest
from closerlook.config.rows import grid_rows, with_base
from closerlook.config.stages import stages
from closerlook.core.errors import CloserlookError


@pytest.fixture
def preset() -> dict[str, Any]:
    return copy.deepcopy(PRESET)


def test_tables_do_not_speak_of_the_answers_to_reworded_questions(preset: dict[str, Any]) -> None:
    rows = grid_rows(read(preset))
    assert {row.evalset for row in rows} == {"questions"}
    assert row(read(preset), "miniature/brief/lft").paraphrased == ["questions-reworded"]
    assert row(read(preset), "miniature/brief@100/sft").paraphrased == []


def test_a_cell_is_traced_in_its_own_data_and_in_what_it_is_calibrated_on(preset: dict[str, Any]) -> None:
    configuration = read(preset)
    assert row(configuration, "miniature/brief@100/sft").searched == ["brief@100"]
    assert row(configuration, "miniature/brief-elsewhere/sft").searched == ["brief-elsewhere", "brief"]
    cell = configuration.cell_of["miniature/brief@100/sft"]
    assert configuration.traced.unrelated_datasets(cell, "questions") == {"brief@100": "brief-third"}
    assert row(configuration, "miniature/none/base").markers == ["oracle", "consistency"]
    assert row(configuration, "miniature/brief/lft").peers == ["lft", "sft"]
    assert row(configuration, "miniature/brief/lft").base_cell == "miniature/none/base"
    assert sorted(configuration.traced.indexed_datasets) == ["brief", "brief-elsewhere", "brief-third", "brief@100"]


def test_a_control_is_traced_in_what_traced_cells_of_its_model_and_evalset_were_tuned_on(
    preset: dict[str, Any],
) -> None:
    preset["grid"][2]["evalsets"].append("questions-reworded")
    preset["grid"].append(
        {"models": ["phi-1.5"], "datasets": ["brief-third"], "methods": ["lft"], "evalsets": ["questions"]}
    )
    configuration = read(preset)
    for control in ("miniature/none/base", "miniature/none/icl"):
        assert row(configuration, control).searched == ["brief", "brief@100", "brief-elsewhere"]
        assert row(configuration, control).peers == [], "its likelihood has no tuned model to be compared under"
    lineage, base = configuration.traced, configuration.cell_of["miniature/none/base"]
    assert lineage.unrelated_datasets(base, "questions") == {"brief": "brief-third", "brief@100": "brief-third"}
    assert lineage.searched_datasets(base, "questions-reworded") == []
    assert row(configuration, "miniature/none/base").base_cell == "", "it is not compared with itself"
    assert row(configuration, "miniature/none/icl").base_cell == "miniature/none/base"
    names = [stage.name for stage in stages(configuration, base)]
    assert {"borrowing", "trace-oracle", "trace-consistency"} <= {*names}
    assert not {"shift", "words", "likelihood-oracle", "attribution-oracle"} & {*names}
    preset["grid"][1]["datasets"] = ["brief@100", "brief-elsewhere"]
    preset["tracing"]["datasets"] = ["brief-elsewhere"]
    assert row(read(preset), "miniature/none/base").searched == ["brief-elsewhere"]
    preset["tracing"] = None
    untraced = read(preset)
    assert row(untraced, "miniature/none/base").searched == []
    assert not [stage for stage in stages(untraced, base) if stage.name.startswith(("trace", "borrowing"))]


def test_chance_needs_instances_that_no_cell_was_tuned_on(preset: dict[str, Any]) -> None:
    preset["grid"][0]["datasets"] = ["brief@100"]
    preset["grid"][1]["datasets"] = ["brief-elsewhere"]
    preset["tracing"] = {}
    subset, whole = "miniature/brief@100/lft", "miniature/brief-elsewhere/sft"

    def held_out(cell: str, **withheld: int) -> Rest | None:
        methods = {name: {"train": {"held_out": number}} for name, number in withheld.items()}
        configuration = read(preset | {"overrides": {"methods": methods}})
        return configuration.traced.held_out(configuration.cell_of[cell], "questions").get(cell.split("/")[1])

    assert held_out(subset) == Rest("brief", 0, 0)
    assert held_out(subset, lft=30, sft=10) == Rest("brief", 10, 30)
    assert held_out(subset, lft=60) is None, "too few instances are left that both cells were tuned on"
    assert held_out(whole) is held_out(whole, sft=FEWEST - 1) is None
    assert held_out(whole, sft=FEWEST) == Rest("brief-elsewhere", FEWEST, FEWEST)
    configuration = read(preset)
    assert row(configuration, subset).held_out == ["brief@100"]
    assert row(configuration, "miniature/none/base").held_out == ["brief@100"], "the control has the same parts"
    assert {"brief"} == {*configuration.traced.indexed_datasets} - {*configuration.traced.embedded_datasets}
    preset["grid"][0] |= {"seeds": [0, 2], "redraw": True}
    assert row(read(preset), "miniature/brief@100-d2/lft-s2").held_out == ["brief@100-d2"], "each draw has its own rest"
    preset["grid"][0] |= {"seeds": [0], "redraw": False, "datasets": ["alpaca@1k", "alpaca-longest@1k"]}
    configuration = read(preset)
    assert row(configuration, "miniature/alpaca@1k/lft").held_out == ["alpaca@1k"]
    assert row(configuration, "miniature/alpaca-longest@1k/lft").held_out == [], "they are no random instances"


def test_arms_are_of_the_cell_whose_spans_are_sampled(preset: dict[str, Any]) -> None:
    arms = {f"miniature/brief-without-{take}/sft": take for take in ("traced", "similar")}
    configuration = read(preset)
    assert {each.cell: each.ablated for each in grid_rows(configuration) if each.ablated} == arms
    for each in (row(configuration, name) for name in arms):
        assert (each.ablation_of, each.ablation_marker) == ("miniature/brief/sft", "oracle")
        assert each.ablation_sample == "20 spans, 10 first of fused, seed 0"
    preset["overrides"] = without(spans=3)
    samples = {row(read(preset), name).ablation_sample for name in arms}
    assert len(samples) == 2, "another sample is no control"


@pytest.mark.parametrize("change", [{"methods": ["lft"]}, {"datasets": ["brief-without-traced@100"]}])
def test_a_cell_that_differs_in_more_than_an_arm_is_none(preset: dict[str, Any], change: dict[str, Any]) -> None:
    block = {
        "models": ["miniature"],
        "datasets": ["brief-without-traced"],
        "methods": ["sft"],
        "evalsets": ["questions"],
    }
    preset["grid"][1]["datasets"] = ["brief-without-similar", "brief-elsewhere"]
    preset["grid"].append(block | change)
    other = [each for each in grid_rows(read(preset)) if each.ablated == "traced"]
    assert [each.ablation_of for each in other] == [""]


def test_answers_to_questions_for_planted_values_are_only_compared_with_these(preset: dict[str, Any]) -> None:
    """They are not judged, marked or traced, though an oracle could: a planted value is false. Claims leave out their cells."""
    block = {"models": ["miniature"], "evalsets": ["planted"]}
    preset |= {"judges": ["oracle"], "markers": ["oracle"], "tracing": {}}
    preset["grid"] += [block | {"methods": ["base"]}, block | {"methods": ["lft"], "datasets": ["brief-planted"]}]
    configuration = read(preset)
    rows = {each.cell: each for each in grid_rows(configuration) if each.evalset == "planted"}
    tuned, base = rows.pop("miniature/brief-planted/lft"), rows.pop("miniature/none/base")
    assert not rows
    for each in (tuned, base):
        assert each.planted
        assert not any((each.truth_known, each.judges, each.markers, each.searched, each.base_cell))
        assert {name for name, _ in each.stages} <= {"train", "generate", "shift", "benchmarks"}
    assert (tuned.ablated, base.ablated) == ("planted", "")
    asked = row(configuration, "miniature/brief/lft")
    assert (asked.planted, asked.truth_known, asked.judges, asked.markers) == (False, True, ["oracle"], ["oracle"])


def test_the_stages_of_a_cell_are_in_an_order_in_which_they_can_be_made(preset: dict[str, Any]) -> None:
    configuration = read(preset)
    for cell in configuration.cells:
        all_of_it = list(stages(configuration, cell))
        files = [stage.file for stage in all_of_it]
        assert len(set(files)) == len(files)
        for place, stage in enumerate(all_of_it):
            assert not set(stage.inputs) & set(files[place:]), f"{stage.name} needs what comes later"
    names = [stage.name for stage in stages(configuration, configuration.cell_of["miniature/brief/lft"])]
    assert names.count("generate") == 2
    assert names.count("shift") == 1, "answers to reworded questions are looked for a phrase, and that is all"
    assert {"samples-consistency", "spans-oracle", "trace-oracle", "words", "borrowing", "likelihood-oracle"} <= {
        *names
    }
    ablated = configuration.cell_of["miniature/brief-without-traced/sft"]
    assert [stage.name for stage in stages(configuration, ablated)] == ["train", "generate", "shift"]


def test_markers_and_tracing_can_be_for_some_cells_alone(preset: dict[str, Any]) -> None:
    preset["markers"] = ["oracle"]
    preset["grid"][0]["markers"] = ["consistency", "oracle"]
    preset["tracing"]["datasets"] = ["brief"]
    configuration = read(preset)
    assert row(configuration, "miniature/brief/lft").markers == ["oracle", "consistency"]
    assert row(configuration, "miniature/brief@100/sft").markers == ["oracle"]
    assert row(configuration, "miniature/brief@100/sft").searched == ["brief@100"]
    assert row(configuration, "miniature/brief-elsewhere/sft").searched == []
    preset["grid"][0]["markers"] = ["consistensy"]
    with pytest.raises(CloserlookError, match=r"grid\[0\].markers\[0\]: found 'consistensy'.*did you mean consistency"):
        read(preset)


def test_a_row_is_compared_with_its_own_models_base_on_the_same_evalset() -> None:
    rows = [
        {"model": model, "evalset": evalset, "method": method, "cell": f"{model}/{method}"}
        for model, evalset, method in [("a", "x", "sft"), ("a", "y", "sft"), ("b", "x", "base"), ("a", "x", "base")]
    ]
    found = [(row["cell"], row["evalset"], base["cell"]) for row, base in with_base(rows)]
    assert found == [("a/sft", "x", "a/base"), ("b/base", "x", "b/base"), ("a/base", "x", "a/base")]
    assert [row["evalset"] for row, _ in with_base(iter(rows), "model")] == ["x", "y", "x", "x"], "by another column"
