"""`closerlook doctor` on a real Slurm, whose output the fakes of tests/unit/doctor imitate."""

import json
from pathlib import Path

import pytest
import yaml
from tests.support import REPOSITORY
from tests.support.slurm.cluster import Cluster

pytestmark = pytest.mark.slurm

GPU = {
    "partition": "gpu",
    "nodes": 2,
    "gpus_per_node": 4,
    "cpus_per_node": 8,
    "memory_per_node_gb": 10,
    "gpu_memory_gb": 80,
    "peak_tflops": 989,
}


def doctor(cluster: Cluster, project: Path, *arguments: str, **changes: object) -> dict[str, tuple[str, str]]:
    """State and detail of each check. changes: to the site's only type of GPU."""
    if not (project / "config").exists():
        (project / "config").symlink_to(REPOSITORY / "config")
    site = {"name": "lab", "cpu_partition": "cpu", "scratch": str(project), "gpus": {"h100": GPU | changes}}
    (project / "site.yaml").write_text(yaml.safe_dump(site))
    where = ["--configfile", f"{REPOSITORY}/config/mini.yaml", "--site", f"{project}/site.yaml", "--json"]
    # The command reads the configuration's files from its working directory.
    shell = f'cd {project}; exec closerlook doctor "$@"'
    output = cluster.run("bash", "-c", shell, "doctor", *where, *arguments, timeout=200, check=False)
    checks = {check["what"]: (check["state"], check["detail"]) for check in json.loads(output)}
    assert not list(project.glob(".doctor-*"))
    return checks


def test_a_cluster_that_is_as_the_site_file_says(cluster: Cluster, tmp_path: Path):
    checks = doctor(cluster, tmp_path)
    states = {what: state for what, (state, _) in checks.items()}
    assert states.pop("account (default)") == "skipped"  # this cluster has no accounting
    # The only failure: Slurm's GPU is not a real device.
    assert states.pop("h100: GPU") == "FAILED"
    assert set(states.values()) == {"ok"}, checks
    assert checks["h100: GPU"][1].startswith("torch ")
    assert "sees 0 GPUs on n1, expected the 1 that was asked for" in checks["h100: GPU"][1]
    assert checks["nodes with h100"][1] == "2 of up to 4 GPUs, 8 CPUs, 10 GB; 2 take jobs now"
    assert checks["largest job on h100"][1] == "2 nodes of 4 GPUs for 24 hours"
    assert checks["h100: job"][1] == "ran on n1"
    for where in ("h100", "cpu"):
        assert {f"{where}: results", f"{where}: environment", f"{where}: scratch"} <= set(states)


def test_a_site_file_that_promises_too_much(cluster: Cluster, tmp_path: Path):
    assert "found 3, expected at most 2" in doctor(cluster, tmp_path, "--no-jobs", nodes=3)["nodes with h100"][1]
    assert (
        "found 11, expected at most 10"
        in doctor(cluster, tmp_path, "--no-jobs", memory_per_node_gb=11)["nodes with h100"][1]
    )
    unknown = doctor(cluster, tmp_path, gres="gpu:h200")
    assert "found 'gpu:h200', expected one of gpu:h100" in unknown["nodes with h100"][1]
    assert "Requested node configuration is not available" in unknown["h100: job"][1]


def test_a_cluster_without_a_free_node(cluster: Cluster, tmp_path: Path):
    job = cluster.run(
        "sbatch", "--parsable", "--output=/dev/null", "--nodes=2", "--exclusive", "--wrap", "sleep 300"
    ).strip()
    cluster.wait_for(lambda: cluster.job(int(job))["state"] == "RUNNING")
    before = len(cluster.jobs())
    checks = doctor(cluster, tmp_path, "--timeout", "2")
    state, finding = checks["h100: job"]
    assert (state, "2 seconds" in finding, "--timeout" in finding) == ("skipped", True, True)
    submitted = cluster.jobs()[before:]
    assert len(submitted) == 2
    assert not [job for job in submitted if job["state"] in {"PENDING", "RUNNING"}], "no job stays in the queue"
    cluster.run("scancel", job)
    cluster.wait_for(lambda: set(cluster.node_states().values()) == {"idle"})
