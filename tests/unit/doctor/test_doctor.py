"""For each fault of a cluster or of the site file, the check that is meant for it fails and says what to do."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.support.pretended_slurm import Pretended

from closerlook.doctor import job
from closerlook.doctor.slurm import parse_gres, parse_time_limit

Fault = Callable[[Pretended], object]


def gpu(**values: object) -> Fault:
    return lambda pretended: pretended.site["gpus"]["h100"].update(values)


def site(**values: object) -> Fault:
    return lambda pretended: pretended.site.update(values)


def says(name: str, script: str) -> Fault:
    return lambda pretended: pretended.command(name, script)


def file(name: str, text: str) -> Fault:
    return lambda pretended: pretended.put(name, text)


def torch(addition: str) -> Fault:
    return lambda pretended: (pretended.root / "modules/torch.py").open("a").write(addition)


def test_all_is_well(pretended: Pretended):
    checks = pretended.examine()
    assert {check.state for check in checks.values()} == {"ok"}, list(map(str, checks.values()))
    assert checks["h100: GPU"].detail == "NVIDIA H100 80GB HBM3, 85 GB"
    assert checks["nodes with h100"].detail == "3 of up to 4 GPUs, 64 CPUs, 515 GB; 3 take jobs now"
    first, second = pretended.calls().splitlines()
    assert "--partition=gpu --account=language --gres=gpu:h100:1" in first
    assert "--partition=short --account=language" in second
    assert "--gres" not in second
    assert "scancel" not in pretended.calls()


FAULTS: dict[str, tuple[Fault, str, str]] = {
    "misspelled partition": (gpu(partition="gpus"), "partition gpus", "gpus.h100.partition: found 'gpus', expected one of gpu, "),
    "partition down": (file("partitions", "gpu|down|1:00\nshort*|up|1:00"), "partition gpu", "is down, expected up"),
    "too long": (gpu(max_hours=72), "time limit on h100", "gpus.h100.max_hours: found 72, expected at most 48"),
    "no such GPU": (gpu(gres="gpu:h200"), "nodes with h100", "found 'gpu:h200', expected one of gpu:h100, shard; did you mean"),
    "GPU elsewhere": (gpu(gres="gpu:v100"), "nodes with h100", "partition gpu has no gpu:v100, but old has"),
    "too many GPUs": (gpu(gpus_per_node=8), "nodes with h100", "gpus_per_node: found 8, expected at most 4"),
    "too many CPUs": (gpu(cpus_per_node=65), "nodes with h100", "cpus_per_node: found 65, expected at most 64"),
    "too much memory": (gpu(memory_per_node_gb=516), "nodes with h100", "memory_per_node_gb: found 516, expected at most 515"),
    "too many nodes": (gpu(nodes=4), "nodes with h100", "gpus.h100.nodes: found 4, expected at most 3"),
    "drained": (file("nodes", "n|gpu:h100:4|64|515000|drained\nm|gpu:h100:4|64|515000|idle*"), "nodes with h100", "sinfo -R"),
    "refused": (says("sbatch", "echo 'allocation failure: Job violates QOS' >&2; exit 1"), "largest job on h100", "violates QOS"),
    "no such account": (site(account="langage"), "account langage", "expected one of language, vision; did you mean language?"),
    "job refused": (says("srun", "echo 'srun: error: Invalid account' >&2; exit 1"), "h100: job", "Invalid account; expected"),
    "no Python there": (says("srun", "echo 'python: No such file' >&2; exit 127"), "h100: job", "where all nodes see it"),
    "no modules": (site(modules=["cuda/12.8"]), "h100: job", "site.yaml: modules: "),
    "no torch": (torch("raise ImportError('libcudart.so')"), "h100: environment", "ImportError: libcudart.so"),
    "no GPU": (torch("count = 0"), "h100: GPU", "node1 has no GPU that torch 2.9.0+cu128 can use: CUDA_VISIBLE_DEVICES=0 means"),
    "too many GPUs seen": (torch("count = 2"), "h100: GPU", "sees 2 GPUs on node1, expected the 1"),
    "torch for CPUs": (torch("count = 0; version.cuda = None"), "h100: GPU", "built for CPUs only"),
    "old driver": (torch("count = 0\ndef old(): raise RuntimeError('driver too old')\ncuda.init = old"), "h100: GPU", "too old"),
    "broken GPU": (torch("def ones(*a, **k): raise RuntimeError('ECC error')"), "h100: GPU", "RuntimeError: ECC error"),
    "small GPU": (torch("size = 42_000_000_000"), "h100: GPU", "gpus.h100.gpu_memory_gb: found 80, expected 42"),
    "no scratch": (site(scratch="/nowhere"), "h100: scratch", "site.yaml: scratch: node1 cannot write to /nowhere"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(pretended: Pretended, fault: str):
    change, what, words = FAULTS[fault]
    change(pretended)
    checks = pretended.examine()
    assert checks[what].state == "FAILED"
    assert words in checks[what].detail
    # Unrelated checks pass.
    assert checks["slurm"].state == checks["site file"].state == "ok"
    others = {check.what for check in checks.values() if check.state == "FAILED"} - {what}
    assert others <= {what.replace("h100", "cpu")}


def test_results_that_a_job_does_not_see(pretended: Pretended):
    srun = (
        (pretended.commands / "srun").read_text().replace("exec", f"rm {pretended.root}/project/.doctor-*/login; exec")
    )
    (pretended.commands / "srun").write_text(srun)
    check = pretended.examine()["h100: results"]
    assert check.state == "FAILED"
    assert f"node1 does not see {pretended.root}/project" in check.detail


def test_results_that_a_job_keeps_to_itself(pretended: Pretended, monkeypatch: pytest.MonkeyPatch):
    """The job writes to another folder of the same name, as in a container."""
    monkeypatch.setattr(job, "SEEN_WITHIN", 0.5)
    srun = (
        (pretended.commands / "srun")
        .read_text()
        .replace('exec "$@"', f'"$@"; rm {pretended.root}/project/.doctor-*/job')
    )
    (pretended.commands / "srun").write_text(srun)
    check = pretended.examine()["h100: results"]
    assert check.state == "FAILED"
    assert "is not seen here" in check.detail


def test_a_busy_cluster_is_no_fault(pretended: Pretended):
    pretended.command("srun", "echo 'srun: error: Unable to allocate resources: Requested nodes are busy' >&2; exit 1")
    check = pretended.examine(timeout=5)["h100: job"]
    assert check.state == "skipped"
    assert "no free node in 5 seconds" in check.detail


def test_a_job_that_does_not_end_is_cancelled(pretended: Pretended):
    pretended.command("srun", "exec sleep 60")
    check = pretended.examine(timeout=0.2)["h100: job"]
    assert check.state == "FAILED"
    assert "had not ended" in check.detail
    assert pretended.calls().count("scancel --name=closerlook-doctor-") == 2


def test_no_jobs(pretended: Pretended):
    checks = pretended.examine(jobs=False)
    assert checks["jobs"].state == "skipped"
    assert "srun" not in pretended.calls()


def test_the_command_prints_lines_and_its_exit_code_tells(pretended: Pretended):
    command = [str(Path(sys.executable).parent / "closerlook"), "doctor", "--site", str(pretended.site_file)]
    for nodes, code, state in ((2, 0, "ok     "), (9, 1, "FAILED ")):
        pretended.site["gpus"]["h100"]["nodes"] = nodes
        pretended.site_file.write_text(yaml.safe_dump(pretended.site))
        done = subprocess.run(command, cwd=pretended.root / "project", capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stderr
        assert f"{state} nodes with h100  " in done.stdout
        assert "\nok      h100: GPU " in done.stdout


def test_without_slurm(pretended: Pretended, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    checks = pretended.examine()
    assert checks["slurm"].state == "FAILED"
    assert "sinfo: command not found; expected Slurm's commands on PATH" in checks["slurm"].detail
    assert checks["partitions and jobs"].state == "skipped"


def test_a_controller_that_is_down(pretended: Pretended):
    pretended.command("scontrol", "echo 'Slurmctld(primary) at head is DOWN'")
    assert "is DOWN; expected" in pretended.examine()["slurm"].detail


def test_no_accounting(pretended: Pretended):
    pretended.command("sacctmgr", "echo 'You are not running a supported accounting_storage plugin'; exit 1")
    check = pretended.examine(jobs=False)["account language"]
    assert check.state == "skipped"


def test_no_default_partition(pretended: Pretended):
    pretended.site.pop("cpu_partition")
    assert pretended.examine(jobs=False)["partition (default)"].detail == "short, up"
    pretended.put("partitions", "gpu|up|infinite")
    check = pretended.examine(jobs=False)["partition (default)"]
    assert check.state == "FAILED"
    assert "Slurm has no default partition: name one of gpu" in check.detail


def test_a_site_file_with_mistakes(pretended: Pretended):
    pretended.site["gpus"]["h100"]["nodes"] = "two"
    checks = pretended.examine()
    assert checks["site file"].state == "FAILED"
    assert "gpus.h100.nodes: found 'two'" in checks["site file"].detail
    assert checks["slurm"].state == "ok"
    assert checks["partitions and jobs"].state == "skipped"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_results_that_cannot_be_written(pretended: Pretended):
    (pretended.root / "project").chmod(0o500)
    assert "expected a folder you can write to" in pretended.examine()["h100: results"].detail


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("(null)", {}),
        ("gpu:4", {"gpu": 4}),
        ("gpu:h100:4(S:0-1)", {"gpu:h100": 4}),
        ("gpu:a100:2(S:0,2),gpu:v100:1,shard:8(S:0-1)", {"gpu:a100": 2, "gpu:v100": 1, "shard": 8}),
        ("gpu:h100:2,gpu:h100:2", {"gpu:h100": 4}),
    ],
)
def test_gres_as_sinfo_writes_it(text: str, counts: dict[str, int]):
    assert parse_gres(text) == counts


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("infinite", math.inf),
        ("n/a", math.inf),
        ("45", 0.75),
        ("30:00", 0.5),
        ("4:00:00", 4),
        ("2-12:30:00", 60.5),
        ("1-0", 24),
    ],
)
def test_time_limits_as_sinfo_writes_them(text: str, hours: float):
    assert parse_time_limit(text) == hours
