"""A fake cluster of shell scripts: Slurm commands that answer from files, and a srun that runs its command locally."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from closerlook.config import load
from closerlook.doctor.checks import Check
from closerlook.doctor.doctor import doctor
from tests.support import REPOSITORY

SINFO = """
case "$*" in
  --version) echo "slurm 24.05.4" ;;
  *"%P|%a|%l") cat {folder}/partitions ;;
  *"%N|%G|%c|%m|%T") cat {folder}/nodes ;;
  *"%R|%G") cat {folder}/gres ;;
esac
"""
SRUN = """
echo "srun $*" | head -n 1 >> {folder}/calls
case "$*" in *--gres=*) export SLURM_JOB_GPUS=2 CUDA_VISIBLE_DEVICES=0 ;; esac
while case "$1" in --*) true ;; *) false ;; esac; do shift; done
export SLURMD_NODENAME=node1
exec "$@"
"""
# Jobs import this instead of the real torch, which needs a GPU and seconds.
TORCH = """
import types
__version__ = "2.9.0+cu128"
size, count = 85_000_000_000, 1
def ones(*a, **k): pass
def properties(index): return types.SimpleNamespace(name="NVIDIA H100 80GB HBM3", total_memory=size)
def init():
    if not count: raise RuntimeError("No CUDA GPUs are available")
device = lambda kind, index: f"{kind}:{index}"
version = types.SimpleNamespace(cuda="12.8")
cuda = types.SimpleNamespace(device_count=lambda: count, get_device_properties=properties, init=init)
cuda.is_available = lambda: count > 0
"""
SITE = {
    "name": "paper",
    "account": "language",
    "cpu_partition": "short",
    "gpus": {
        "h100": {
            "partition": "gpu",
            "nodes": 2,
            "gpus_per_node": 4,
            "cpus_per_node": 64,
            "memory_per_node_gb": 500,
            "gpu_memory_gb": 80,
            "peak_tflops": 989,
        }
    },
}


class Pretended:
    """A cluster without faults, until a test changes a file or a command."""

    def __init__(self, root: Path) -> None:
        self.root, self.commands = root, root / "bin"
        self.site: dict[str, Any] = yaml.safe_load(yaml.safe_dump(SITE | {"scratch": str(root)}))
        self.site_file = root / "site.yaml"
        for folder in ("bin", "modules", "project"):
            (root / folder).mkdir()
        (root / "modules/torch.py").write_text(TORCH)
        (root / "project/config").symlink_to(REPOSITORY / "config")
        self.put("partitions", "short*|up|4:00:00\ngpu|up|2-00:00:00\nold|up|infinite")
        self.put("nodes", "\n".join(f"gpu-{n}|gpu:h100:4(S:0-1),shard:8|64|515000|mixed" for n in (1, 2, 3)))
        self.put("gres", "gpu|gpu:h100:4\nold|gpu:v100:8\nshort|(null)")
        self.command("sinfo", SINFO)
        self.command("srun", SRUN)
        self.command("scontrol", "echo 'Slurmctld(primary) at head is UP'")
        self.command("sacctmgr", "echo language; echo vision")
        self.command("sbatch", "echo 'sbatch: Job 1 to start at 2026-01-01T00:00:00' >&2")
        self.command("scancel", "echo scancel $* >> {folder}/calls")

    def put(self, name: str, text: str) -> None:
        (self.root / name).write_text(text + "\n")

    def command(self, name: str, script: str) -> None:
        program = self.commands / name
        program.write_text(f"#!/bin/sh\n{script.replace('{folder}', str(self.root))}\n")
        program.chmod(0o755)

    def calls(self) -> str:
        file = self.root / "calls"
        return file.read_text() if file.exists() else ""

    def examine(self, jobs: bool = True, timeout: float = 30) -> dict[str, Check]:
        """The checks by name."""
        self.site_file.write_text(yaml.safe_dump(self.site))
        project = self.root / "project"
        configuration = load.read("config/mini.yaml", project)
        before = sorted(project.iterdir())
        checks = list(doctor(configuration, self.site_file, project / "results/mini", jobs, timeout))
        assert sorted(project.iterdir()) == before, "something was left behind"
        by_name = {check.what: check for check in checks}
        assert len(by_name) == len(checks)
        return by_name


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    pretended = Pretended(tmp_path)
    monkeypatch.setenv("PATH", f"{pretended.commands}:{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}/modules:{REPOSITORY}/src")
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # as within an allocation, where srun must not start a step
    assert os.environ.get("SLURM_CONF") is None
    return pretended
