"""What jobs ask Slurm for: it follows from model, method and site, and from what became of earlier attempts."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.cell_results import FIRST, GPU, Results, attempt

from closerlook.cluster import adoption, attempts
from closerlook.config.catalog import GenerateLaunch, Launch
from closerlook.config.site import Gpu, Site
from closerlook.core.errors import CloserlookError
from closerlook.plan.resources import NAMES, ResourcePlanner, place_ranks, problems

SMALL = GPU | {"partition": "gpu-a40", "gpus_per_node": 1, "memory_per_node_gb": 64}


@pytest.fixture
def site() -> Site:
    return Site.model_validate(
        {"name": "lab", "account": "nlp", "cpu_partition": "cpu", "gpus": {"h100": GPU, "a40": SMALL}}
    )


def planner(results: Results, site: Site | None, **launch: Any) -> ResourcePlanner:
    """With all trainings of the miniature launched like this."""
    models = results.configuration.catalog.models
    models["miniature"] = models["miniature"].model_copy(
        update={"launch": dict.fromkeys(("lora", "full", "bias"), Launch.model_validate(launch))}
    )
    return ResourcePlanner(results.configuration, site)


def training(results: Results, site: Site | None, tries: int = 1, **launch: Any) -> dict[str, Any]:
    cell = results.configuration.cell_of[FIRST]
    resources = planner(results, site, **launch).train(cell, tries)
    assert set(resources) <= set(NAMES)
    return {name: value for name, value in resources.items() if value is not None}


def test_one_gpu(results: Results, site: Site) -> None:
    assert training(results, site, hours=3.0) == {
        "slurm_partition": "gpu-h100",
        "slurm_account": "nlp",
        "slurm_extra": "--signal=USR2@300",
        "nodes": 1,
        "gres": "gpu:h100:1",
        "mem_mb": 125_000,
        "runtime": 180,
        "gpus_in_use": 1,
        "halvings": 0,
        "tries": 1,
    }


@pytest.mark.parametrize(
    ("launch", "expected"),
    [
        ({"ranks": 4}, {"nodes": 1, "tasks_per_node": 4, "gres": "gpu:h100:4", "mem_mb": 500_000}),
        ({"ranks": 16}, {"nodes": 2, "tasks_per_node": 8, "gres": "gpu:h100:8", "mem_mb": 1_000_000}),
        ({"ranks": 12}, {"nodes": 2, "tasks_per_node": 6, "gres": "gpu:h100:6", "mem_mb": 750_000}),
        ({"ranks": 2, "gpu": "a40"}, {"nodes": 2, "tasks": 2, "gres": "gpu:a40:1", "slurm_partition": "gpu-a40"}),
    ],
)
def test_several_gpus(results: Results, site: Site, launch: dict[str, Any], expected: dict[str, Any]) -> None:
    resources = training(results, site, **launch)
    assert expected.items() <= resources.items()
    # Any other value than 0 would add --ntasks-per-gpu to the number of tasks; 1 task per node must not be requested.
    assert (resources["mpi"], resources["tasks_per_gpu"], resources["gpus_in_use"]) == ("srun", 0, launch["ranks"])
    assert ("tasks" in resources) != ("tasks_per_node" in resources)


@given(ranks=st.integers(1, 64), per_node=st.integers(1, 16))
def test_layout_holds_all_ranks_on_as_few_nodes_as_can_be(ranks: int, per_node: int) -> None:
    gpu = Gpu.model_validate(GPU | {"gpus_per_node": per_node})
    nodes, each = place_ranks(ranks, gpu)
    assert each <= per_node
    assert nodes == -(-ranks // per_node)


def test_without_hours_the_plan_is_asked(results: Results, site: Site) -> None:
    """The miniature is so small that the half hour of the start is all that counts; without lengths, all that can be had."""
    assert training(results, site)["runtime"] == 31
    for name, dataset in results.configuration.catalog.datasets.items():
        results.configuration.catalog.datasets[name] = dataset.model_copy(update={"mean_tokens": None})
    assert training(results, site)["runtime"] == 48 * 60


def failed(reason: str, **changes: Any) -> attempts.Attempt:
    return attempt(minutes=1, reason=reason, job="7", **changes)


def test_earlier_failures_teach(results: Results, site: Site) -> None:
    results.attempt(
        failed("out of memory"), failed("time limit"), failed("time limit"), failed("node failure", failed_nodes="n3")
    )
    resources = training(results, site, tries=2, hours=3.0, micro_batch=8)
    assert (resources["halvings"], resources["runtime"]) == (1, 12 * 60)
    assert resources["slurm_extra"] == "--signal=USR2@300 --exclude=n3"
    assert "--exclude" not in training(results, site, tries=1)["slurm_extra"], "the node may be well again another day"
    assert training(results, site, hours=40.0)["runtime"] == 48 * 60, "no more than the partition allows"


def test_success_ends_the_lesson(results: Results, site: Site) -> None:
    results.attempt(failed("out of memory"), attempt(minutes=1), failed("time limit"))
    resources = training(results, site, hours=1.0)
    assert (resources["halvings"], resources["runtime"]) == (0, 120)


@pytest.mark.parametrize("reason", sorted(attempts.FINAL))
def test_what_is_not_tried_again_waits_for_no_gpu(results: Results, site: Site, reason: str) -> None:
    results.attempt(failed(reason))
    assert "gres" not in training(results, site, tries=2)
    assert training(results, site, tries=2)["slurm_partition"] == "cpu"
    assert "gres" in training(results, site, tries=1), "a new Snakemake tries again"


def test_a_job_waits_for_the_one_it_adopted(results: Results, site: Site) -> None:
    records = attempts.records_folder(results.folder / "cells" / FIRST, "train")
    records.mkdir(parents=True)
    adoption.adopt(records, "42")
    assert "--dependency=afterany:42" in training(results, site)["slurm_extra"]


def test_without_a_site_only_what_programs_need(results: Results) -> None:
    results.attempt(failed("out of memory"))
    assert training(results, None, ranks=4) == {"halvings": 1, "tries": 1}
    assert planner(results, None).cpu(1, 1) == {}


def test_gpus_of_this_machine_are_counted(results: Results, site: Site) -> None:
    models, cell = results.configuration.catalog.models, results.configuration.cell_of[FIRST]
    models["miniature"] = models["miniature"].model_copy(
        update={"launch": {}, "generate": GenerateLaunch(ranks=2, gpus=2)}
    )
    for where in (None, site):
        here = ResourcePlanner(results.configuration, where, local_gpus=4)
        assert here.train(cell, 1)["gpus_in_use"] == 1
        assert here.evaluate(cell, "questions", "generate", 1)["gpus_in_use"] == 4
        assert "gpus_in_use" not in here.watched(1, 1, 1)
        small = ResourcePlanner(results.configuration, where, local_gpus=3)
        with pytest.raises(CloserlookError, match=r"generate: its launch asks for 4 GPUs, .* can use 3"):
            small.evaluate(cell, "questions", "generate", 1)


def test_untyped_gpus(results: Results) -> None:
    site = Site.model_validate({"name": "lab", "gpus": {"h100": GPU | {"gres": "gpu"}}})
    assert training(results, site, ranks=2)["gres"] == "gpu:2"


@pytest.mark.parametrize(
    ("launch", "message"),
    [
        ({"gpu": "h10"}, r"launch.lora.gpu: found .?h10.?, expected a type of GPU of site lab: .*did you mean h100"),
        ({"ranks": 9}, r"launch.lora.ranks: found 9, expected 1 to 8, or a number that fills up to 4 nodes evenly"),
        ({"ranks": 40}, r"launch.lora.ranks: found 40"),
    ],
)
def test_launches_that_the_site_cannot_give(results: Results, site: Site, launch: dict[str, Any], message: str) -> None:
    configuration = planner(results, site, **launch).configuration
    messages = [str(problem) for problem in problems(configuration, site, "lab.yaml")]
    assert re.search(message, messages[0]), messages


def test_a_fitting_launch_is_no_problem(results: Results, site: Site) -> None:
    assert list(problems(planner(results, site, ranks=16).configuration, site, "lab.yaml")) == []
