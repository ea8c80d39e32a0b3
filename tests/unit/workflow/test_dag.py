"""The DAG of each preset we ship, as a dry run shows it, and how the workflow refuses a wrong one."""

import re
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
    assert int(stats.get("retention", 0)) == sum(bool(configuration.retained(cell)) for cell in configuration.cells)
    if traced := [row for row in rows if row.searched]:
        assert int(stats["borrowing"]) == len(traced)
        assert int(stats["trace"]) == sum(len(row.markers) for row in traced)


def test_cells_tuned_on_parts_are_trained_and_measured_once(tmp_path: Path) -> None:
    """They answer nothing. The attribution of the cell whose rankers are scored keeps all instances, that of others does not."""
    project = Project(tmp_path)
    block = {"models": ["miniature"], "datasets": ["brief"], "methods": ["lft", "sft"], "evalsets": ["questions"]}
    project.preset |= {"grid": [block], "markers": ["oracle"]}
    project.preset["tracing"] = {"attribution": ["miniature/brief/lft", "miniature/brief/sft"]}
    before = project.plan()
    parts = {
        "models": ["miniature"],
        "datasets": ["brief@400"],
        "methods": ["sft"],
        "seeds": [*range(9)],
        "redraw": True,
    }
    project.preset["grid"].append(parts)
    project.preset["tracing"]["retrained"] = {"miniature/brief/sft": "brief@400"}
    planned = project.plan()
    assert planned - before == {"train": 9, "subset": 9, "retrained": 1, "instance_scores": 1, "table": 1}
    commands = project.snakemake("--dry-run", "--printshellcmds")
    kept = re.findall(r"attribute_spans.py .*?--data \S+ .*?--top (\d+) --out (\S+)", commands)
    assert {file.split("/")[5]: int(top) for top, file in kept} == {"lft": 10, "sft": 800}
    measured = next(line for line in commands.splitlines() if "span_likelihood.py" in line and "/retrained/" in line)
    found = re.findall(r"miniature/(brief@400\S*)/sft\S*=results/dag/cells/miniature/(\S+)/sft\S*/model", measured)
    assert [name for name, _ in found] == ["brief@400", *(f"brief@400-d{seed}" for seed in range(1, 9))]
    assert all(name == folder for name, folder in found)


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
