"""A real Slurm for the tests of this folder: one for each worker of pytest-xdist that runs some of its files."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from getpass import getuser
from pathlib import Path

import pytest
from tests.support.slurm.cluster import Cluster
from tests.support.slurm.project import Project

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; the hook sees those of every folder."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two nodes, n1 and n2, with four GPUs each."""
    if reason := _no_slurm():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with Cluster() as running:
        yield running


@pytest.fixture(autouse=True)
def _free_cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that fails must leave no job behind that the next one would wait for."""
    yield
    if "cluster" in request.fixturenames:
        running: Cluster = request.getfixturevalue("cluster")
        running.run("scancel", f"--user={getuser()}")
        running.wait_for(lambda: not running.run("squeue", "--noheader"))


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after a whole run on the cluster to which nothing happened."""
    project = Project(tmp_path_factory.mktemp("slurm") / "undisturbed", cluster)
    project.run("cells", *project.table_files())
    return project


def _no_slurm() -> str | None:
    """Why there is no Slurm to test with, after an attempt to install it; None where there is."""
    if _installed():
        return None
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return "Slurm is not installed, and can only be installed as root on Debian: apt-get install slurm-wlm munge"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in ("update", "install --yes --no-install-recommends slurm-wlm munge"):
        done = subprocess.run(
            ["apt-get", "--quiet", *command.split()], env=environment, capture_output=True, text=True, timeout=900
        )
        if done.returncode:
            return f"Slurm cannot be installed: apt-get {command}: {(done.stdout + done.stderr)[-500:]}"
    return None if _installed() else "apt-get installed slurm-wlm, and still there is no slurmctld"


def _installed() -> bool:
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    return all(shutil.which(name, path=path) for name in ("munged", "slurmctld", "slurmd", "sbatch"))
