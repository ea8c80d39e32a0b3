"""The DAG of each preset we ship, as a dry run shows it, and how the workflow refuses a wrong one."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import REPOSITORY
from tests.support.workflow_project import Project

from closerlook.config import load
from closerlook.config.rows import grid_rows


def dry_run(preset: str, folder: Path) -> str:
    command = [sys.executable, "-m", "snakemake", "-n", "--configfile", preset, "--nolock", "--quiet", "host"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "preset",
    [
        p.name
        for p in sorted((REPOSITORY / "config").glob("*.yaml"))
        if p.stem.split(".")[0] not in ("catalog", "config", "mini-full", "site")
    ],
)
def test_a_dry_run_plans_each_cell_once(preset: str, tmp_path: Path) -> None:
    project = Project(tmp_path)
    output = dry_run(f"config/{preset}", project.folder)
    lines = output.split("Job stats:")[1].split("total")[0].splitlines()
    stats = dict(line.split() for line in lines if len(line.split()) == 2)
    configuration = load.read(f"config/{preset}", REPOSITORY)
    trained = [cell for cell in configuration.cells if cell.dataset]
    assert int(stats["train"]) == len(trained)
    assert int(stats["generate"]) + int(stats.get("generate_api", 0)) == sum(map(len, configuration.cells.values()))
    rows = grid_rows(configuration)
    assert int(stats["shift"]) == sum(bool(row.dataset) for row in rows)  # not the responses to paraphrased questions
    assert int(stats.get("benchmarks", 0)) == sum(bool(configuration.benchmarked(cell)) for cell in configuration.cells)
    if traced := [row for row in rows if row.searched]:
        assert int(stats["borrowing"]) == len(traced)
        assert int(stats["trace"]) == sum(len(row.markers) for row in traced)


def test_a_wrong_preset_is_refused_before_anything_runs(project: Project) -> None:
    project.preset["grid"][0]["methods"] = ["lft", "stf"]
    output = project.snakemake("--dry-run", check=False)
    assert "config/dag.yaml: grid[0].methods[1]: found 'stf'" in output
    assert "did you mean sft?" in output
    assert "Traceback" not in output


def test_no_job_imports_torch_to_parse_the_workflow() -> None:
    code = "import sys, closerlook.config.load, closerlook.report.tables.registry, closerlook.core.scripts;"
    code += "sys.exit(' '.join({'torch', 'transformers', 'pandas', 'matplotlib'} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
