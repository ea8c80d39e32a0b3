"""Preempted, cancelled and killed jobs, time limits, out of memory, and a driver that dies: nothing is lost.

Each test lets one fault happen to the training of one cell and then demands the state that it must end in, and the tables of an
undisturbed run, byte for byte. At its end pytest prints what was done to how many jobs, and what was lost (tests/conftest.py).
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.slurm.cluster import Cluster
from tests.support.slurm.project import CELL, Project

from closerlook.cluster import attempts

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1500)]


@pytest.fixture
def project(undisturbed: Project, tmp_path: Path) -> Project:
    """A copy of the undisturbed run, without one cell and without tables."""
    copy = undisturbed.copy_to(tmp_path / "project")
    shutil.rmtree(copy.results / "cells" / CELL)
    shutil.rmtree(copy.results / "tables")
    return copy


class Cell:
    """The training of one cell."""

    def __init__(self, project: Project) -> None:
        self.project, self.folder = project, project.results / "cells" / CELL
        self.targets = [str((self.folder / "manifest.json").relative_to(project.folder)), *project.table_files()]

    def attempts(self) -> list[attempts.Attempt]:
        return attempts.read(self.folder, "train")

    def failure(self) -> dict[str, Any]:
        return json.loads(attempts.failure_file(self.folder, "train").read_text())

    def steps(self) -> int:
        """Number of optimizer steps in its log."""
        for file in (self.folder / "checkpoints/train_log.jsonl", self.folder / "train_log.jsonl"):
            if file.is_file():
                return len(file.read_text().splitlines())
        return 0

    def losses(self) -> list[float]:
        return [json.loads(line)["loss"] for line in (self.folder / "train_log.jsonl").read_text().splitlines()]

    def resumed_from(self) -> list[int]:
        return json.loads((self.folder / "manifest.json").read_text())["resumed_from"]

    def in_mid_training(self, least: int = 60) -> int:
        """Wait for a number of steps, and return the job's id."""
        self.project.cluster.wait_for(lambda: self.steps() >= least, 300)
        job = self.attempts()[-1].job
        assert job is not None
        return int(job)

    def requeued(self, job: int) -> None:
        """Wait until Slurm has requeued the job, and let it start at once instead of after two minutes."""
        cluster = self.project.cluster
        cluster.wait_for(lambda: cluster.job(job)["state"] == "PENDING", 120)
        cluster.start_now(job)

    def status(self) -> list[dict[str, Any]]:
        """Rows of `closerlook status` about its training."""
        done = subprocess.run(
            ["closerlook", "status", "--configfile", "lab.yaml", "--json"],
            cwd=self.project.folder,
            env=self.project.cluster.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        stages = json.loads(done.stdout)["stages"]
        return [stage for stage in stages if stage["cell"] == CELL and stage["stage"] == "train"]


Tell = Callable[[str, object], None]
"""pytest's record_property, which reaches the process that prints the table."""


def check_nothing_lost(cell: Cell, undisturbed: Project, tell: Tell, fault: str, injected: int = 1) -> None:
    """Check that the cell's losses and all tables equal those of the undisturbed run."""
    actual, expected = cell.project.tables(), undisturbed.tables()
    lost = sum(actual.get(name) != text for name, text in expected.items())
    tell("fault", [fault, injected, lost])
    assert actual == expected
    assert cell.losses() == Cell(undisturbed).losses()
    assert not attempts.failure_file(cell.folder, "train").exists()
    assert not (cell.folder / "checkpoints").exists()


def finish(driver: subprocess.Popen[str], project: Project) -> None:
    assert driver.wait(600) == 0, (project.folder / "driver.log").read_text()[-6000:]


def test_preempted_by_a_higher_partition(
    project: Project, undisturbed: Project, cluster: Cluster, record_property: Tell
) -> None:
    slow_down(project)
    cell = Cell(project)
    driver = project.start(*cell.targets)
    job = cell.in_mid_training()
    urgent = cluster.run(
        *("sbatch", "--parsable", "-p", "urgent", "--nodes=2", "--gres=gpu:4", "-t", "1", "-o", "/dev/null"),
        *("--wrap", "sleep 1"),
    )
    cluster.wait_for(lambda: cluster.job(int(urgent))["state"] == "COMPLETED", 180)
    cell.requeued(job)
    finish(driver, project)
    first, last = cell.attempts()
    assert (first.reason, first.job, last.job) == ("preempted", str(job), str(job))
    assert cell.resumed_from()[0] >= 60
    check_nothing_lost(cell, undisturbed, record_property, "preempted by a higher partition")


def test_time_limit(project: Project, undisturbed: Project, record_property: Tell) -> None:
    """The warning precedes the limit; the retry requests more time and resumes."""
    project.launch["full"] = {"hours": 1 / 60}
    cell = Cell(project)
    slow_down(project, 0.1)
    finish(project.start(*cell.targets), project)
    assert [attempt.reason for attempt in cell.attempts()[:-1]] == ["time limit"] * (len(cell.attempts()) - 1)
    assert len(cell.attempts()) >= 2
    assert cell.resumed_from()[0] > 0
    limits = [flags[flags.index("-t") + 1] for flags in project.cluster.submissions() if project.is_training(flags)]
    assert limits[-len(cell.attempts()) :][:2] == ["1", "2"]
    check_nothing_lost(cell, undisturbed, record_property, "time limit")


def test_cancelled(project: Project, undisturbed: Project, cluster: Cluster, record_property: Tell) -> None:
    """A cancelled job is not retried until a user starts it again."""
    slow_down(project)
    cell = Cell(project)
    driver = project.start(*cell.targets)
    job = cell.in_mid_training()
    cluster.run("scancel", str(job))
    assert driver.wait(600) != 0
    assert [attempt.reason for attempt in cell.attempts()] == ["cancelled"]
    assert cell.failure()["reason"] == "cancelled"
    assert cell.failure()["tried_again_by_itself"] is False
    (training,) = cell.status()
    assert (training["state"], training["reason"]) == ("failed", "cancelled")
    assert "manifest.json" in training["command"]
    driver_log = (project.folder / "driver.log").read_text()
    assert f"{CELL}" in driver_log.split("Status of each cell")[1]
    finish(project.start(*cell.targets), project)
    assert cell.resumed_from()[0] >= 60
    check_nothing_lost(cell, undisturbed, record_property, "cancelled")


def test_node_goes_down(project: Project, undisturbed: Project, cluster: Cluster, record_property: Tell) -> None:
    project.launch["full"] = {"checkpoint_steps": 20}
    slow_down(project)
    cell = Cell(project)
    driver = project.start(*cell.targets)
    job = cell.in_mid_training()
    node = cell.attempts()[-1].nodes
    assert node is not None
    cluster.kill_node(node)
    try:
        cell.requeued(job)
        finish(driver, project)
    finally:
        cluster.revive_node(node)
    first, last = cell.attempts()
    assert (first.reason, first.failed_nodes) == ("node failure", node)
    assert last.nodes != node
    assert cell.resumed_from()[0] >= 40
    check_nothing_lost(cell, undisturbed, record_property, "node down")


def test_out_of_memory(project: Project, undisturbed: Project, tmp_path: Path, record_property: Tell) -> None:
    """With micro-batches of 8 and 4 it allocates a thousand terabytes, which fails; with 2 it does not."""
    small = project.copy_to(tmp_path / "small")
    small.launch["full"] = {"micro_batch": 2}
    small.run(*Cell(small).targets)
    project.launch["full"] = {"micro_batch": 8}
    project.change_script(
        "train.py",
        "    join_srun()\n",
        "    join_srun()\n    import torch\n\n    torch.empty(1 << 50 if engine.micro_batch > 2 else 1)\n",
    )
    cell = Cell(project)
    finish(project.start(*cell.targets), project)
    assert [attempt.reason for attempt in cell.attempts()] == ["out of memory", "out of memory", None]
    check_nothing_lost(cell, small, record_property, "out of memory", injected=2)
    # With micro-batches of 8, float32 sums have another order: the last bits differ, the printed tables do not.
    reference, actual = undisturbed.tables(), project.tables()
    assert cell.losses() == pytest.approx(Cell(undisturbed).losses(), abs=1e-4)
    assert {name: text for name, text in actual.items() if name.endswith(".md")} == {
        name: text for name, text in reference.items() if name.endswith(".md")
    }


def test_loss_that_is_no_number(project: Project, undisturbed: Project, record_property: Tell) -> None:
    """It is not retried, although Snakemake would; tables are made without the cell, and name it."""
    rate = project.preset["overrides"]["methods"]["sft"]["train"]["learning_rate"]
    project.preset["overrides"]["methods"]["sft"]["train"]["learning_rate"] = 1e30
    cell = Cell(project)
    assert project.start("all").wait(600) != 0
    assert [attempt.reason for attempt in cell.attempts()] == ["non-finite loss"]
    assert cell.failure()["reason"] == "non-finite loss"
    tries = [flags for flags in project.cluster.submissions() if project.is_training(flags)][-4:]
    assert [any("gres" in flag for flag in flags) for flags in tries] == [True, False, False, False]
    assert CELL.encode() in (project.results / "tables/shift.md").read_bytes()
    project.preset["overrides"]["methods"]["sft"]["train"]["learning_rate"] = rate
    finish(project.start(*cell.targets), project)
    check_nothing_lost(cell, undisturbed, record_property, "loss that is no number")


def test_driver_killed(project: Project, undisturbed: Project, cluster: Cluster, record_property: Tell) -> None:
    """The next driver waits for the running job and takes over its outputs; nothing runs twice."""
    slow_down(project)
    cell = Cell(project)
    driver = project.start(*cell.targets)
    job = cell.in_mid_training()
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    second = project.start(*cell.targets)
    cluster.wait_for(lambda: [flags for flags in cluster.submissions() if f"--dependency=afterany:{job}" in flags], 120)
    third = project.run(*cell.targets, status=1)
    assert "another Snakemake" in third
    finish(second, project)
    assert [(attempt.job, attempt.reason) for attempt in cell.attempts()] == [(str(job), None)]
    assert cell.resumed_from() == []
    check_nothing_lost(cell, undisturbed, record_property, "driver killed")


def test_driver_killed_and_its_jobs_end_before_the_next(
    project: Project, undisturbed: Project, cluster: Cluster, record_property: Tell
) -> None:
    slow_down(project)
    cell = Cell(project)
    driver = project.start(*cell.targets)
    job = cell.in_mid_training()
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    cluster.wait_for(lambda: cluster.job(job)["state"] == "COMPLETED", 300)
    finish(project.start(*cell.targets), project)
    assert [attempt.job for attempt in cell.attempts()] == [str(job)]
    check_nothing_lost(cell, undisturbed, record_property, "driver killed, restarted after its jobs")


def slow_down(project: Project, seconds: float = 0.05) -> None:
    """Delay each of the training's 480 steps, so that on no machine it ends before the fault."""
    project.change_script(
        "train.py",
        "    join_srun()\n",
        "    join_srun()\n    import time\n\n    from closerlook.train.parallel import DataParallel\n\n"
        f"    step = DataParallel.step\n    DataParallel.step = lambda *of: (time.sleep({seconds}), step(*of))[1]\n",
    )
