"""The test cluster itself: ranks, signals, preemption and node failures work as on a real one."""

import json
import sys
from pathlib import Path

import pytest
from tests.support.slurm.cluster import Cluster
from tests.support.slurm.cluster_files import KILL_WAIT

pytestmark = pytest.mark.slurm

RANK = """
import json, os, pathlib, socket, sys
names = ("SLURM_PROCID", "SLURM_LOCALID", "SLURMD_NODENAME", "SLURM_STEP_GPUS", "CUDA_VISIBLE_DEVICES")
rank = {name: os.environ[name] for name in names} | {"master": socket.gethostbyname("n1")}
pathlib.Path(sys.argv[1], os.environ["SLURM_PROCID"]).write_text(json.dumps(rank))
"""

SIGNALLED = """
import signal, sys, time

def note(number, frame):
    with open(sys.argv[1], "a") as out:
        print(signal.Signals(number).name, flush=True, file=out)
for number in (signal.SIGUSR2, signal.SIGTERM):
    signal.signal(number, note)
open(sys.argv[1], "a").write("started\\n")
while True:
    time.sleep(0.1)
"""


def submit(cluster: Cluster, script: str, *options: str) -> int:
    return int(cluster.run("sbatch", "--parsable", "--output=/dev/null", *options, "--wrap", script))


def reach(cluster: Cluster, job: int, state: str, timeout: float = 60) -> None:
    cluster.wait_for(lambda: cluster.job(job)["state"] == state, timeout)


def test_eight_ranks_on_two_nodes(cluster: Cluster, tmp_path: Path):
    program = tmp_path / "rank.py"
    program.write_text(RANK)
    folder = tmp_path / "ranks"
    folder.mkdir()
    # --export=NONE: what srun needs in a job comes from the cluster, not from the shell that submits.
    options = ["--nodes=2", "--ntasks-per-node=4", "--gres=gpu:4", "--export=NONE"]
    job = submit(cluster, f"timeout 50 srun --kill-on-bad-exit=1 {sys.executable} {program} {folder}", *options)
    reach(cluster, job, "COMPLETED")
    ranks = [json.loads((folder / str(rank)).read_text()) for rank in range(8)]
    assert [rank["SLURMD_NODENAME"] for rank in ranks] == ["n1"] * 4 + ["n2"] * 4
    assert [rank["SLURM_LOCALID"] for rank in ranks] == list("01230123")
    assert {(rank["SLURM_STEP_GPUS"], rank["CUDA_VISIBLE_DEVICES"]) for rank in ranks} == {("0,1,2,3", "")}
    assert {rank["master"] for rank in ranks} == {"127.0.0.1"}
    assert set(options) <= set(cluster.submissions()[-1])


def test_a_step_is_warned_of_its_time_limit_and_of_a_requeue(cluster: Cluster, tmp_path: Path):
    program, heard = tmp_path / "signalled.py", tmp_path / "heard"
    program.write_text(SIGNALLED)
    # Slurm looks at time limits every half minute, and rounds the warning to a minute before.
    job = submit(cluster, f"srun {sys.executable} {program} {heard}", "--signal=USR2@60", "--time=1", "--requeue")
    cluster.wait_for(lambda: heard.exists() and "USR2" in heard.read_text(), 90)
    cluster.run("scontrol", "requeue", str(job))
    reach(cluster, job, "PENDING", KILL_WAIT + 20)
    assert heard.read_text().split() == ["started", "SIGUSR2", "SIGTERM"]
    cluster.start_now(job)
    cluster.wait_for(lambda: heard.read_text().count("started") == 2, 20)
    assert cluster.job(job)["restarts"] == 1
    cluster.run("scancel", str(job))
    reach(cluster, job, "CANCELLED", KILL_WAIT + 20)


def test_an_urgent_job_preempts(cluster: Cluster, tmp_path: Path):
    low = submit(cluster, "sleep 600", "--nodes=2", "--gres=gpu:4")
    reach(cluster, low, "RUNNING")
    high = submit(cluster, "true", "--partition=urgent", "--nodes=2", "--gres=gpu:4")
    reach(cluster, high, "COMPLETED", KILL_WAIT + 30)
    assert cluster.job(low)["restarts"] == 1
    cluster.run("scancel", str(low))
    reach(cluster, low, "CANCELLED")


def test_a_job_outlives_its_node(cluster: Cluster):
    job = submit(cluster, "srun sleep 600", "--nodes=1", "--nodelist=n2", "--requeue")
    running = {"slurmstepd", "srun", "sleep"}
    cluster.wait_for(lambda: running <= {process.name() for process in cluster.processes("n2")})
    before = set(cluster.processes("n2"))
    cluster.kill_node("n2")
    assert not [process for process in before if process.is_running() and process.status() != "zombie"]
    reach(cluster, job, "PENDING")
    assert cluster.node_states()["n2"].startswith("down")
    cluster.revive_node("n2")
    cluster.start_now(job)
    reach(cluster, job, "RUNNING")
    cluster.run("scancel", str(job))
    reach(cluster, job, "CANCELLED", KILL_WAIT + 20)
