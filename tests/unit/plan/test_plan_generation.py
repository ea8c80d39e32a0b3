"""Generation and shift in a plan: what is assumed, what is measured, and that nothing else counts as measured."""

import json
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import REPOSITORY
from tests.support.cell_results import attempt
from tests.support.plan_project import Project, preset

from closerlook.cluster import attempts
from closerlook.config.load import load
from closerlook.plan.device import Device, Run
from closerlook.plan.generation import count_instructions

CELL = "phi-1.5/alpaca@1k/lft"
SMALL = preset() | {
    "grid": [
        {
            "models": ["phi-1.5"],
            "datasets": ["alpaca@1k"],
            "methods": ["lft", "sft"],
            "evalsets": ["just-eval-instruct"],
        },
        {"models": ["phi-1.5"], "methods": ["base"], "evalsets": ["just-eval-instruct"]},
    ]
}
PARAMETERS = 1_418_270_720  # as published


def answer(project: Project, cell: str = CELL, responses: int = 10, minutes: float = 2) -> Path:
    """Responses of 30 tokens to prompts of 50, and the attempts at making them and their shift."""
    folder = project.root / "results/scale/cells" / cell / "just-eval-instruct"
    folder.mkdir(parents=True, exist_ok=True)
    table = {"prompt_token_ids": [[1] * 50] * responses, "token_ids": [[1] * 20, [1] * 40] * (responses // 2)}
    pq.write_table(pa.table(table), folder / "responses.parquet")
    attempts.write(folder, "generate", [attempt("generate", minutes)])
    if "base" not in cell:
        (folder / "shift.parquet").touch()
        attempts.write(folder, "shift", [attempt("shift", minutes / 2)])
    return folder


def answering(planned: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return planned["totals"]["answering"]["generate"], planned["totals"]["answering"]["shift"]


def test_cells_that_are_only_trained_answer_nothing(plan) -> None:
    whole = {"models": ["phi-1.5"], "methods": ["sft"]}
    parts = whole | {"datasets": ["lima@500"], "seeds": [*range(8)], "redraw": True}
    grid = [
        whole | {"datasets": ["lima"], "evalsets": ["just-eval-instruct"], "markers": ["gpt-4-1106-preview"]},
        parts,
    ]
    planned = plan(SMALL | {"grid": grid, "tracing": {"retrained": {"phi-1.5/lima/sft": "lima@500"}}})
    answered = {row["cell"]: row["answering_gpu_hours"] for row in planned["cells"]}
    assert len(answered) == 9
    assert answered.pop("phi-1.5/lima/sft") > 0
    assert not any(answered.values())
    assert all(row["gpu_hours"] > 0 for row in planned["cells"])


def test_without_answers_all_is_assumed(plan) -> None:
    planned = plan(SMALL)
    generate, shift = answering(planned)
    # The paper's 800 instructions, three cells; shift has no row for the base model. Half of 32 responses are at work in a step,
    # of 24 layers with 0.6 ms of launches each (twice that with adapters), which reads all weights at 3 TB/s.
    launches, reading = 24 * 0.6e-3, 2 * PARAMETERS / 3e12
    assert generate["gpu_hours"] == pytest.approx(800 * 256 / 16 * (4 * launches + 3 * reading) / 3600)
    # A pass of 16,384 tokens takes longer than its launches, with adapters too.
    assert 2 * launches < 2 * PARAMETERS * 16384 / (0.4 * 989e12)
    compute = 2 * PARAMETERS * 16384 / (0.4 * 989e12)
    passes = 800 * (256 + 128) / 16384
    assert shift["gpu_hours"] == pytest.approx(passes * 4 * compute / 3600)
    assert generate["flops_per_second"] == pytest.approx(3 * 2 * PARAMETERS * 800 * 256 / generate["gpu_hours"] / 3600)
    assert (generate["gpu_hours_to_do"], generate["unknown"], generate["measured_runs"]) == (
        generate["gpu_hours"],
        0,
        0,
    )
    assert sum(row["answering_gpu_hours"] for row in planned["cells"]) == pytest.approx(
        generate["gpu_hours"] + shift["gpu_hours"]
    )


def test_answers_that_a_marker_samples_are_generated_too(plan) -> None:
    sampling = {"markers": ["mine"], "overrides": {"markers": {"mine": {"consistency": {"samples": 4}}}}}
    generate, shift = answering(plan(SMALL | sampling))
    once, as_before = answering(plan(SMALL))
    assert generate["gpu_hours"] == pytest.approx((1 + 4) * once["gpu_hours"])
    assert shift == as_before


def test_texts_are_read_by_two_models_for_each_cell_and_the_base(project: Project, plan) -> None:
    assert "retention" not in plan(SMALL)["totals"]["answering"]
    texts = {"long": {"source": {"hub": "a/b"}, "pieces": 100, "max_tokens": 300}, "short": {"source": {"hub": "c/d"}}}
    reading = SMALL | {"retention": ["long", "short"], "overrides": {"texts": texts}}
    before = answering(plan(SMALL))
    planned = plan(reading)
    assert answering(planned) == before
    retention = planned["totals"]["answering"]["retention"]
    passes = (100 * 300 + 200 * 512) / 16384
    compute = 2 * PARAMETERS * 16384 / (0.4 * 989e12)
    assert retention["gpu_hours"] == retention["gpu_hours_to_do"] == pytest.approx(3 * passes * 2 * compute / 3600)
    total = sum(stage["gpu_hours"] for stage in planned["totals"]["answering"].values())
    assert sum(row["answering_gpu_hours"] for row in planned["cells"]) == pytest.approx(total)
    # Once a text is fetched, its characters count: 4 a token, at most 300 tokens.
    (project.root / "results/scale/texts").mkdir(parents=True)
    fetched = pa.table({"id": ["0", "1"], "text": ["\N{GRINNING FACE}" * 400, "x" * 4000]})
    pq.write_table(fetched, project.root / "results/scale/texts/long.parquet")
    fewer = plan(reading)["totals"]["answering"]["retention"]
    assert fewer["gpu_hours"] / retention["gpu_hours"] == pytest.approx((400 + 200 * 512) / (100 * 300 + 200 * 512))


def test_a_finished_text_says_how_fast(project: Project, plan) -> None:
    folder = project.finish(CELL, "lora") / "retention"
    folder.mkdir()
    (folder / "own.parquet").touch()
    attempts.write(folder, "retention", [attempt("retention", 2)])
    (project.root / "results/scale/texts").mkdir()
    pq.write_table(pa.table({"id": ["0"], "text": ["x" * 400]}), project.root / "results/scale/texts/own.parquet")
    reading = SMALL | {"retention": ["own"], "overrides": {"texts": {"own": {"source": {"hub": "a/b"}}}}}
    retention = plan(reading)["totals"]["answering"]["retention"]
    assert retention["measured_runs"] == 1
    assert retention["flops_per_second"] == pytest.approx(4 * PARAMETERS * 100 / 120)
    assert retention["gpu_hours"] == pytest.approx(3 * 2 / 60)
    assert retention["gpu_hours_to_do"] == pytest.approx(2 * 2 / 60)


def test_benchmarks_are_estimated_once_their_items_are_here(project: Project, plan) -> None:
    assert "benchmarks" not in plan(SMALL)["totals"]["answering"]
    choices = {"id": "a", "context": "x" * 96, "choices": ["yyyy", "zzzz"], "answer": 0}
    questions = [{"id": str(i), "prompt": "x" * 80, "accepted": ["y"]} for i in range(6)]
    for name, items in (("choices", [choices]), ("questions", questions)):
        (project.root / f"{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    listed = [
        {"name": "choices", "kind": "choices", "file": "choices.jsonl"},
        {"name": "questions", "kind": "completion", "file": "questions.jsonl", "shots": 1, "max_new_tokens": 10},
        {"harness": "hellaswag"},
    ]
    (project.root / "tasks.json").write_text(json.dumps({"tasks": listed}))
    scored = SMALL | {"benchmarks": ["tasks.json"]}
    before = plan(scored)
    assert before["totals"]["answering"]["benchmarks"]["unknown"] == 3
    assert all(row["answering_gpu_hours"] is None for row in before["cells"])
    folder = project.root / "results/scale/benchmarks/hellaswag"
    folder.mkdir(parents=True)
    (folder / "task.json").write_text(json.dumps({"characters": 400, "new_tokens": 7}))
    found = plan(scored)["totals"]["answering"]["benchmarks"]
    # Characters: two choices after their context; five questions after an example each; the fetched ones. 4 are a token.
    read, written = (2 * 100 + 5 * 160 + 400) / 4, 5 * 10 + 7
    assert found["unknown"] == 0
    assert found["gpu_hours"] * 3600 * found["flops_per_second"] == pytest.approx(3 * 2 * PARAMETERS * (read + written))


def test_a_task_whose_items_are_damaged_has_no_estimate(project: Project, plan) -> None:
    (project.root / "tasks.json").write_text('{"tasks": [{"name": "own", "kind": "rolling", "file": "own.jsonl"}]}')
    for text in ("nonsense", "[]", '{"id": "a"}', "3"):
        (project.root / "own.jsonl").write_text(text)
        assert plan(SMALL | {"benchmarks": ["tasks.json"]})["totals"]["answering"]["benchmarks"]["unknown"] == 3


def test_short_answers_are_not_taken_for_long_ones(plan) -> None:
    short = answering(plan(SMALL | {"generate": {"max_new_tokens": 64}}))[0]["gpu_hours"]
    assert short == pytest.approx(answering(plan(SMALL))[0]["gpu_hours"] / 4)


def test_finished_answers_say_how_long_and_how_fast(project: Project, plan) -> None:
    project.finish(CELL, "lora")
    answer(project)
    generate, shift = answering(plan(SMALL))
    assert generate["measured_runs"] == shift["measured_runs"] == 1
    assert generate["flops_per_second"] == pytest.approx(2 * PARAMETERS * 10 * 30 / 120)
    assert shift["flops_per_second"] == pytest.approx(4 * PARAMETERS * 10 * 80 / 60)
    # 10 responses took two minutes; each cell asks for 800
    assert generate["gpu_hours"] == pytest.approx(3 * 80 * 2 / 60)
    assert generate["gpu_hours_to_do"] == pytest.approx(2 * 80 * 2 / 60)


def test_what_ran_elsewhere_or_in_parts_measures_no_speed(project: Project, plan) -> None:
    folder = answer(project, "phi-1.5/none/base")  # nothing tells on which device a control answered
    assert answering(plan(SMALL))[0]["measured_runs"] == 0
    project.finish(CELL, "lora", device="NVIDIA A100-SXM4-80GB")
    folder = answer(project)
    lab = ("--site", "config/site.example.yaml")
    assert answering(plan(SMALL, *lab))[0]["measured_runs"] == 0  # its first GPU is another
    assert answering(plan(SMALL, *lab, "--gpu", "a100"))[0]["measured_runs"] == 1
    attempts.write(folder, "generate", [attempt("generate", 1, reason="preempted"), attempt("generate", 1)])
    assert answering(plan(SMALL, *lab, "--gpu", "a100"))[0]["measured_runs"] == 0


def test_on_a_device_without_a_known_peak_generation_is_unknown(project: Project, plan) -> None:
    project.finish(CELL, "lora", device="CPU AMD EPYC", world_size=1)
    generate, shift = answering(plan(SMALL))
    assert (generate["flops_per_second"], generate["unknown"]) == (None, 3)
    assert shift["gpu_hours"] > 0
    assert all(row["answering_gpu_hours"] is None for row in plan(SMALL)["cells"])


@pytest.mark.parametrize(
    "table",
    [
        None,
        {"id": ["a"]},
        {"prompt_token_ids": [1], "token_ids": [1]},
        {"prompt_token_ids": [[1]], "token_ids": [[]]},
        {"prompt_token_ids": [], "token_ids": []},
        {"prompt_token_ids": [None], "token_ids": [None]},
    ],
    ids=str,
)
def test_answers_that_tell_nothing_are_passed_over(project: Project, plan, table: dict[str, Any] | None) -> None:
    project.finish(CELL, "lora")
    file = answer(project) / "responses.parquet"
    if table is None:
        file.write_bytes(b"PAR1")
    else:
        pq.write_table(pa.table(table), file)
    assert answering(plan(SMALL))[0]["measured_runs"] == 0


def test_instructions_are_counted_before_an_evalset_is_prepared(tmp_path: Path) -> None:
    paraphrased = {"of": "questions", "paraphrase": {"by": "oracle", "count": 4}}
    value = {
        "preset": "mine",
        "template": "miniature",
        "grid": [{"models": ["miniature"], "methods": ["base"], "evalsets": ["questions", "just-eval-instruct"]}],
        "overrides": {"miniature": {"questions": 50}, "evalsets": {"again": {"source": paraphrased}}},
    }
    configuration = load(value, "mine.yaml", REPOSITORY)
    expected = {"questions": 50, "again": 200, "just-eval-instruct": 800}
    assert {name: count_instructions(configuration, tmp_path, name) for name in expected} == expected
    file = tmp_path / "evalsets/questions.parquet"
    file.parent.mkdir()
    pq.write_table(pa.table({"id": ["a", "b", "c"]}), file)
    assert count_instructions(configuration, tmp_path, "questions") == 3
    assert count_instructions(configuration, tmp_path, "again") == 12


@given(st.lists(st.integers(1, 5), max_size=8))
def test_a_runs_own_estimate_takes_the_median_of_the_others(rates: list[int]) -> None:
    runs = [Run(Path(str(i)), "", 1.0, float(rate), 1.0) for i, rate in enumerate(rates)]
    device = Device("CPU", None, runs)
    for cell in [Path("x"), *(run.cell for run in runs)]:
        others = [run.rate for run in runs if run.cell != cell]
        assert device.rate_for(cell) == (median(others) if others else None)
