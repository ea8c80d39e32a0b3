"""A model that one GPU cannot hold: what its jobs ask Slurm for."""

from typing import Any

import pytest
from tests.support.cell_results import FIRST, GPU, Results

from closerlook.config.catalog import GenerateLaunch
from closerlook.config.site import Gpu, Site
from closerlook.plan.resources import ResourcePlanner, place_ranks, problems


@pytest.fixture
def site() -> Site:
    return Site.model_validate({"name": "lab", "gpus": {"h100": GPU}})


def spread(results: Results, **launch: Any) -> None:
    models = results.configuration.catalog.models
    models["miniature"] = models["miniature"].model_copy(update={"generate": GenerateLaunch.model_validate(launch)})


@pytest.mark.parametrize(
    ("launch", "expected"),
    [
        ({"gpus": 4}, {"nodes": 1, "gres": "gpu:h100:4", "gpus_in_use": 4, "mem_mb": 500_000}),
        ({"gpus": 8}, {"nodes": 1, "gres": "gpu:h100:8", "gpus_in_use": 8, "mem_mb": 1_000_000}),
        (
            {"gpus": 4, "ranks": 2},
            {"nodes": 1, "gres": "gpu:h100:8", "tasks_per_node": 2, "mpi": "srun", "gpus_in_use": 8},
        ),
        (
            {"gpus": 8, "ranks": 3},
            {"nodes": 3, "gres": "gpu:h100:8", "tasks": 3, "mpi": "srun", "gpus_in_use": 24},
        ),
    ],
)
@pytest.mark.parametrize("stage", ["generate", "shift"])
def test_gpus_of_each_rank(results: Results, site: Site, launch: dict, expected: dict, stage: Any) -> None:
    spread(results, **launch)
    resources = ResourcePlanner(results.configuration, site).evaluate(
        results.configuration.cell_of[FIRST], "questions", stage, 1
    )
    assert expected.items() <= resources.items()
    assert resources["tasks_per_gpu"] == 0  # or Slurm would start a task for each GPU
    if launch.get("ranks", 1) == 1:
        assert (resources["mpi"], resources["tasks"], resources["tasks_per_node"]) == (None, None, None)


def test_no_rank_is_torn_between_nodes(results: Results, site: Site) -> None:
    gpu = Gpu.model_validate(GPU)
    assert place_ranks(2, gpu, 3) == (1, 2)
    assert place_ranks(4, gpu, 3) == (2, 2)
    spread(results, gpus=9)
    (problem,) = problems(results.configuration, site, "catalog.yaml")
    assert str(problem) == (
        "catalog.yaml: models.miniature.generate.gpus: found 9, expected at most 8, the GPUs of a node of h100"
    )
    spread(results, gpus=4, ranks=3)
    (problem,) = problems(results.configuration, site, "catalog.yaml")
    assert "models.miniature.generate.ranks: found 3, expected 1 to 2" in str(problem)
