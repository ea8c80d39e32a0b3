"""Mistakes about markers, tracing, paraphrases and the causal test are refused, with their place and what was expected."""

import copy
from typing import Any

import pytest
from tests.support.tracing_preset import PRESET, read, without

from closerlook.core.errors import CloserlookError


@pytest.fixture
def preset() -> dict[str, Any]:
    return copy.deepcopy(PRESET)


def _reworded(**changed: Any) -> dict[str, Any]:
    source = {"of": "questions", "paraphrase": {"by": "oracle"}} | changed
    return {"evalsets": {"questions-reworded": {"source": source}}}


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
            {"overrides": without(cell="miniature/brief/sfd")}, "did you mean miniature/brief/sft?", id="cell"
        ),
        pytest.param(
            {"overrides": without(cell="miniature/brief-elsewhere/sft")},
            "expected brief-elsewhere, which miniature/brief-elsewhere/sft is tuned on",
            id="cell of another dataset",
        ),
        pytest.param({"overrides": without(candidates=11)}, "at most the 10 candidates", id="more than are kept"),
        pytest.param(
            {"overrides": without(candidates=1, take="half")},
            "source.without.candidates: found 1, expected at least 2",
            id="half of one",
        ),
        pytest.param({"overrides": without(take="all")}, "source.without.take: found 'all'", id="no arm"),
        pytest.param(
            {"tracing": {"attribution": ["miniature/none/base"]}}, "expected a traced cell", id="gradients of a control"
        ),
        pytest.param(
            {"tracing": {"attribution": ["miniature/brief/sftt"]}}, "did you mean miniature/brief/sft?", id="gradients"
        ),
        pytest.param({"overrides": without(marker="gpt")}, "source.without.marker: found 'gpt'", id="marker of none"),
        pytest.param({"tracing": None}, "expected a cell that the preset's `tracing` traces", id="no tracing"),
        pytest.param(
            {"overrides": without(evalset="other")}, "expected an evalset that miniature/brief/sft", id="evalset"
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
