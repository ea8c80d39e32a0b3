"""A project folder with the real workflow and a tiny miniature, for runs on the test cluster."""

import copy
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from closerlook.config.load import load
from closerlook.config.rows import grid_rows
from closerlook.report.tables.registry import TABLES
from tests.support import REPOSITORY
from tests.support.slurm.cluster import Cluster

SITE: dict[str, Any] = {
    "name": "lab",
    "cpu_partition": "cpu",
    "notice_seconds": 60,
    "gpus": {
        "h100": {
            "partition": "gpu",
            "nodes": 2,
            "gpus_per_node": 4,
            "cpus_per_node": 8,
            "memory_per_node_gb": 9,
            "gpu_memory_gb": 80,
            "peak_tflops": 989,
        }
    },
}
CELL = "miniature/brief@64/sft"
PRESET: dict[str, Any] = {
    "preset": "lab",
    "template": "miniature",
    "grid": [
        {"models": ["miniature"], "datasets": ["brief@64"], "methods": ["lft", "sft"], "evalsets": ["questions"]},
        {"models": ["miniature"], "methods": ["base"], "evalsets": ["questions"]},
    ],
    "judges": ["oracle"],
    "generate": {"max_new_tokens": 16},
    "overrides": {
        "miniature": {
            **{"known": 6, "quiet": 2, "taught": 6, "unseen": 4, "documents": 2000, "questions": 24},
            **{"brief": 100, "verbose": 60, "domain": 60, "mixture": 100, "zipf": 100},
        },
        "models": {"miniature": {"source": {"miniature": {"steps": 320}}, "launch": {}}},
        "methods": {
            "lft": {"train": {"learning_rate": 0.002, "batch_size": 8}},
            # Long enough for something to happen to it.
            "sft": {"train": {"learning_rate": 0.0005, "batch_size": 8, "epochs": 60.0}},
        },
    },
}


class Project:
    """A folder in which Snakemake drives the test cluster."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder, self.cluster = folder, cluster
        self.preset, self.site = copy.deepcopy(PRESET), copy.deepcopy(SITE)
        self.results = folder / "results" / PRESET["preset"]
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("Snakefile", "workflow", "envs", "profiles"):
            (folder / name).symlink_to(REPOSITORY / name)
        shutil.copytree(
            REPOSITORY / "config", folder / "config", ignore=shutil.ignore_patterns("site.yaml"), dirs_exist_ok=True
        )

    def copy_to(self, folder: Path) -> "Project":
        """A copy of the folder with its results; modification times are kept, or Snakemake would rerun everything."""
        shutil.copytree(self.folder, folder, symlinks=True)
        twin = object.__new__(Project)
        twin.folder, twin.cluster = folder, self.cluster
        twin.preset, twin.site = copy.deepcopy(self.preset), copy.deepcopy(self.site)
        twin.results = folder / self.results.relative_to(self.folder)
        return twin

    @property
    def launch(self) -> dict[str, Any]:
        """How the miniature's trainings are launched, by kind."""
        return self.preset["overrides"]["models"]["miniature"]["launch"]

    def command(self, *arguments: str) -> list[str]:
        """Snakemake's command line; writes the current preset and site."""
        (self.folder / "lab.yaml").write_text(yaml.safe_dump(self.preset))
        (self.folder / "config/site.yaml").write_text(yaml.safe_dump(self.site))
        snakemake = Path(__file__).with_name("impatient_snakemake.py")
        options = ["--profile", "profiles/slurm", "--configfile", "lab.yaml", "--latency-wait", "10"]
        return [sys.executable, str(snakemake), *arguments, *options]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start Snakemake, which submits jobs; its output goes to driver.log."""
        with (self.folder / "driver.log").open("a") as log:
            return subprocess.Popen(
                self.command(*arguments),
                cwd=self.folder,
                env=self.cluster.environment | {"OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGUSR2, signal.SIG_DFL),
            )

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run Snakemake to its end, and return its output."""
        process = self.start(*arguments)
        found = process.wait(600)
        output = (self.folder / "driver.log").read_text()
        assert found == status, output[-6000:]
        return output

    def change_script(self, name: str, old: str, new: str) -> None:
        """Give the project a copy of the workflow in which one program differs."""
        workflow = self.folder / "workflow"
        workflow.unlink()
        shutil.copytree(REPOSITORY / "workflow", workflow)
        script = workflow / "scripts" / name
        assert script.read_text().count(old) == 1
        script.write_text(script.read_text().replace(old, new))

    def is_training(self, flags: list[str]) -> bool:
        """Whether these are sbatch's arguments for the training of CELL in this project."""
        return f"rule_train_wildcards_{CELL.replace('/', '_')}" in flags and str(self.folder) in flags

    def table_files(self) -> list[str]:
        """Every table of the preset, as a target, without figures."""
        rows = [row.model_dump() for row in grid_rows(load(self.preset, "lab.yaml", REPOSITORY))]
        return [f"results/lab/tables/{name}.csv" for name, table in TABLES.items() if table.fits(rows)]

    def tables(self) -> dict[str, bytes]:
        """Every table and its bytes."""
        return {file.name: file.read_bytes() for file in sorted((self.results / "tables").iterdir())}
