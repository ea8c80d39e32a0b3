"""A real Slurm for the tests of this folder: one per worker of pytest-xdist."""

from collections.abc import Iterator
from getpass import getuser

import pytest
from tests.support.machine import require
from tests.support.slurm.cluster import Cluster
from tests.support.slurm.project import Project


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Two nodes, n1 and n2, with four GPUs each."""
    require("slurm-wlm", "munge")
    with Cluster() as running:
        yield running


@pytest.fixture(autouse=True)
def _free_cluster(request: pytest.FixtureRequest) -> Iterator[None]:
    """Cancel the jobs of a failed test, which the next test would wait for."""
    yield
    if "cluster" in request.fixturenames:
        running: Cluster = request.getfixturevalue("cluster")
        running.run("scancel", f"--user={getuser()}")
        running.wait_for(lambda: not running.run("squeue", "--noheader"))


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after a complete run without faults."""
    project = Project(tmp_path_factory.mktemp("slurm") / "undisturbed", cluster)
    project.run("cells", *project.table_files())
    return project
