"""Markers, tracing, paraphrases and the causal test in a preset: which cells belong together, and what is refused."""

import copy
from typing import Any

import pytest
from tests.support import REPOSITORY

from closerlook.config import load
from closerlook.config.lineage import FEWEST, Rest
from closerlook.config.load import Configuration
from closerlook.config.rows import GridRow, grid_rows
from closerlook.config.stages import stages
from closerlook.core.errors import CloserlookError

FILE = "config/mine.yaml"
PRESET: dict[str, Any] = {
    "preset": "mine",
    "template": "miniature",
    "markers": ["oracle", "consistency"],
    "tracing": {"unrelated": {"brief": "brief-third"}, "calibrate": {"brief-elsewhere": "brief"}},
    "grid": [
        {
            "models": ["miniature"],
            "datasets": ["brief"],
            "methods": ["lft", "sft"],
            "evalsets": ["questions", "questions-reworded"],
        },
        {
            "models": ["miniature"],
            "datasets": ["brief@100", "brief-elsewhere", "brief-without-traced", "brief-without-similar"],
            "methods": ["sft"],
            "evalsets": ["questions"],
        },
        {"models": ["miniature"], "methods": ["base", "icl"], "evalsets": ["questions"]},
    ],
}


@pytest.fixture
def preset() -> dict[str, Any]:
    return copy.deepcopy(PRESET)


def read(preset: dict[str, Any]) -> Configuration:
    return load.load(preset, FILE, REPOSITORY)


def row(configuration: Configuration, cell: str) -> GridRow:
    return next(row for row in grid_rows(configuration) if row.cell == cell)


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
    preset["overrides"] = _without(spans=3)
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


def _without(**changed: Any) -> dict[str, Any]:
    settings = {"cell": "miniature/brief/sft", "evalset": "questions", "marker": "oracle", "take": "traced"} | changed
    return {"datasets": {"brief-without-traced": {"source": {"of": "brief", "without": settings}}}}


def _reworded(**changed: Any) -> dict[str, Any]:
    source = {"of": "questions", "paraphrase": {"by": "oracle"}} | changed
    return {"evalsets": {"questions-reworded": {"source": source}}}


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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"markers": ["oracl"]}, "markers[0]: found 'oracl', expected a marker: one of", id="marker"),
        pytest.param(
            {"markers": ["oracle", "oracle"]}, "markers[1]: found 'oracle', expected each marker once", id="twice"
        ),
        pytest.param(
            {"tracing": {"unrelated": {"brief": "breif-third"}}}, "did you mean brief-third?", id="unrelated unknown"
        ),
        pytest.param(
            {"tracing": {"unrelated": {"brief": "brief"}}}, "expected another dataset", id="unrelated to itself"
        ),
        pytest.param(
            {"tracing": {"calibrate": {"verbose": "brief"}}},
            "tracing.calibrate: found 'verbose', expected a dataset of the grid",
            id="calibrated outside the grid",
        ),
        pytest.param(
            {"tracing": {"topp": 3}}, "tracing.topp: found 3, expected no such key; did you mean top", id="key"
        ),
        pytest.param(
            {"overrides": _without(cell="miniature/brief/sfd")}, "did you mean miniature/brief/sft?", id="cell"
        ),
        pytest.param(
            {"overrides": _without(cell="miniature/brief-elsewhere/sft")},
            "expected brief-elsewhere, which miniature/brief-elsewhere/sft is tuned on",
            id="cell of another dataset",
        ),
        pytest.param({"overrides": _without(candidates=11)}, "at most the 10 candidates", id="more than are kept"),
        pytest.param(
            {"overrides": _without(candidates=1, take="half")},
            "source.without.candidates: found 1, expected at least 2",
            id="half of one",
        ),
        pytest.param({"overrides": _without(take="all")}, "source.without.take: found 'all'", id="no arm"),
        pytest.param(
            {"tracing": {"attribution": ["miniature/none/base"]}}, "expected a traced cell", id="gradients of a control"
        ),
        pytest.param(
            {"tracing": {"attribution": ["miniature/brief/sftt"]}}, "did you mean miniature/brief/sft?", id="gradients"
        ),
        pytest.param({"overrides": _without(marker="gpt")}, "source.without.marker: found 'gpt'", id="marker of none"),
        pytest.param({"tracing": None}, "expected a cell that the preset's `tracing` traces", id="no tracing"),
        pytest.param(
            {"overrides": _without(evalset="other")}, "expected an evalset that miniature/brief/sft", id="evalset"
        ),
        pytest.param({"overrides": _reworded(of="question")}, "did you mean questions?", id="reworded of none"),
        pytest.param(
            {"overrides": _reworded(of="questions-reworded")}, "evalset that is not a paraphrase", id="of itself"
        ),
        pytest.param(
            {"overrides": _reworded(paraphrase={"by": "orakle"})},
            "paraphrase.by: found 'orakle'",
            id="reworded by none",
        ),
        pytest.param(
            {"overrides": {"markers": {"mine": {"judge": "gpt-5"}}}}, "markers.mine.judge: found 'gpt-5'", id="judge"
        ),
        pytest.param(
            {"markers": ["mine"], "overrides": {"markers": {"mine": {"judge": "oracle"}}}},
            "expected a judge behind an endpoint (openai)",
            id="judge that quotes nothing",
        ),
        pytest.param(
            {"markers": ["oracle", "mine"], "overrides": {"markers": {"mine": {"human": "nowhere.json"}}}},
            "overrides.markers.mine.human: found 'nowhere.json', expected a file or folder that exists",
            id="no file",
        ),
        pytest.param(
            {"overrides": {"markers": {"mine": {"humans": "x"}}}},
            "expected a marker: a mapping with one of the keys oracle, judge, consistency, human",
            id="no kind",
        ),
        pytest.param(
            {"overrides": {"markers": {"consistency": {"consistency": {"samples": 1}}}}},
            "overrides.markers.consistency.consistency.samples: found 1, expected greater than or equal to 2",
            id="one sample contradicts nothing",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_what_was_expected(
    preset: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    with pytest.raises(CloserlookError) as refused:
        read(preset | change)
    assert said in str(refused.value)


def test_reworded_questions_alone_have_nothing_to_be_compared_with(preset: dict[str, Any]) -> None:
    preset["grid"][0]["evalsets"] = ["questions-reworded"]
    with pytest.raises(CloserlookError, match=r"grid\[0\].evalsets\[0\].*expected questions "):
        read(preset)


def test_the_truth_of_the_miniature_marks_no_other_answers(preset: dict[str, Any]) -> None:
    preset["grid"][2]["evalsets"] = ["questions", "just-eval-instruct"]
    with pytest.raises(CloserlookError, match=r"markers\[0\]: found 'oracle', expected a marker .*truth"):
        read(preset)


def test_nothing_is_sampled_from_a_model_behind_an_endpoint(preset: dict[str, Any]) -> None:
    preset["grid"].append(
        {"models": ["gpt-4-1106-preview"], "methods": ["ask"], "evalsets": ["questions"], "markers": ["consistency"]}
    )
    with pytest.raises(CloserlookError, match=r"markers: found 'consistency', expected a marker .*samples"):
        read(preset)


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
