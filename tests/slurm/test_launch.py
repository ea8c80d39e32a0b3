"""Jobs request the resources of their launch, and a training on several nodes equals one in a single process."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.support.slurm.cluster import Cluster
from tests.support.slurm.project import CELL, Project

pytestmark = pytest.mark.slurm
MANIFEST = f"results/lab/cells/{CELL}/manifest.json"


@pytest.fixture
def project(undisturbed: Project, tmp_path: Path) -> Project:
    """A copy of the undisturbed run, with a short training instead of its long one."""
    copy = undisturbed.copy_to(tmp_path / "project")
    copy.preset["overrides"]["methods"]["sft"]["train"]["epochs"] = 2.0
    return copy


@pytest.mark.parametrize(
    ("launch", "expected"),
    [
        ({}, ["--nodes=1", "--gres=gpu:h100:1", "--cpus-per-task=1"]),
        ({"ranks": 4}, ["--nodes=1", "--gres=gpu:h100:4", "--ntasks-per-node=4", "--cpus-per-task=1"]),
        ({"ranks": 8}, ["--nodes=2", "--gres=gpu:h100:4", "--ntasks-per-node=4", "--cpus-per-task=1"]),
    ],
)
def test_exact_sbatch_flags(project: Project, cluster: Cluster, launch: dict[str, Any], expected: list[str]) -> None:
    """The options, without those of every Snakemake job: name, log, comment, folder, environment."""
    project.launch["full"] = launch
    driver = project.start(MANIFEST)
    cluster.wait_for(lambda: [flags for flags in cluster.submissions() if project.is_training(flags)], 120)
    driver.send_signal(signal.SIGINT)  # Snakemake cancels its jobs
    driver.wait(120)
    (flags,) = [flags for flags in cluster.submissions() if project.is_training(flags)]
    words = iter(flags)
    requested = {}
    for word in words:
        if word.startswith("--wrap"):
            continue
        name, equals, value = word.partition("=")
        requested[name] = value if equals or name in {"--parsable", "--requeue"} else next(words)
    of_snakemake = {"--parsable", "--job-name", "--output", "--export", "--comment", "-D"}
    share = min(launch.get("ranks", 1), 4)
    actual = {name: value for name, value in requested.items() if name not in of_snakemake}
    assert actual == {
        **{name: value for name, _, value in (word.partition("=") for word in expected)},
        **{"--requeue": "", "--signal": "USR2@60", "-p": "gpu", "-t": "31", "--mem": str(9000 * share // 4)},
    }


def test_two_nodes_with_zero_3_train_what_one_process_trains(
    project: Project, cluster: Cluster, tmp_path: Path
) -> None:
    """Four gloo ranks on two nodes with sharded parameters have the same losses, except for the order of float32 sums."""
    alone = project.copy_to(tmp_path / "alone")
    alone.run(MANIFEST)
    for gpu in project.site["gpus"].values():
        gpu["gpus_per_node"] = 2
    project.launch["full"] = {"ranks": 4, "micro_batch": 2, "deepspeed": "config/deepspeed/zero3.json"}
    (project.results / "cells" / CELL / "manifest.json").unlink()
    project.run(MANIFEST)
    assert losses(project) == pytest.approx(losses(alone), abs=1e-5)
    manifest = json.loads((project.folder / MANIFEST).read_text())
    assert (manifest["world_size"], len(losses(project))) == (4, 16)
    job = cluster.jobs()[-1]
    assert job["nodes"] == "n[1-2]"


def losses(project: Project) -> list[float]:
    log = project.results / "cells" / CELL / "train_log.jsonl"
    return [json.loads(line)["loss"] for line in log.read_text().splitlines()]
