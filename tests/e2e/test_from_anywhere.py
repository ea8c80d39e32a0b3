"""The workflow used from another folder: by its path, and as a module, as snakedeploy sets it up. One real cell each way."""

import json
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from tests.support import REPOSITORY
from tests.support.own_project import PRESET, put_inputs, run

from closerlook.config import load
from closerlook.core import layout

pytestmark = pytest.mark.e2e

CELL = "tiny/ours/lft"
SHIFT = f"results/mine/{layout.shift(CELL, 'asks')}"
MODULE = f"""
from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


module closerlook:
    snakefile:
        {str(REPOSITORY / "Snakefile")!r}
    config:
        config


use rule * from closerlook
"""


def test_by_its_path_with_files_next_to_the_preset(tmp_path: Path) -> None:
    """Catalog, prompts and programs are the workflow's; model and data are found next to the preset, which is elsewhere."""
    project, settings = tmp_path / "my project", tmp_path / "settings"
    project.mkdir()
    put_inputs(settings)
    (settings / "mine.yaml").write_text(yaml.safe_dump(PRESET))
    flags = ("--configfile", "../settings/mine.yaml")
    snakefile = str(REPOSITORY / "Snakefile")
    run(tmp_path, "snakemake", "-s", snakefile, "--directory", str(project), SHIFT, "results/mine/grid.csv", "--cores", "all",
        "--configfile", "settings/mine.yaml")  # fmt: skip
    assert (project / SHIFT).is_file()
    assert (
        json.loads((project / "results/mine" / layout.cell_config(CELL)).read_text())["train"]["learning_rate"] == 5e-5
    )

    # What closerlook's commands say of it is what ran, and the command of a partial table runs as it is printed.
    rows = json.loads(run(project, "closerlook", "status", *flags, "--json").split("\n", 0)[0])["stages"]
    assert {row["stage"]: row["state"] for row in rows} == {"train": "done", "generate": "done", "shift": "done"}
    (project / SHIFT).unlink()
    script = REPOSITORY / "workflow/scripts/partial_report.py"
    run(project, sys.executable, str(script), "--results", "results/mine", *flags, "--", "shift")
    table = (project / "results/mine/tables/shift.md").read_text()
    (command,) = {part for part in table.split("`") if part.startswith("snakemake ") and "shift.parquet" in part}
    run(project, *shlex.split(command))
    assert (project / SHIFT).is_file()


def test_the_file_that_snakedeploy_names_is_a_preset() -> None:
    """snakedeploy copies config/ and names config/config.yaml in the Snakefile that it writes."""
    assert load.read("config/config.yaml", REPOSITORY).preset.preset == "mini"


def test_as_a_module_as_snakedeploy_writes_it(tmp_path: Path) -> None:
    put_inputs(tmp_path)
    for file, text in {"workflow/Snakefile": MODULE, "config/config.yaml": yaml.safe_dump(PRESET)}.items():
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text(text)
    run(tmp_path, "snakemake", SHIFT, "--cores", "all")
    assert (tmp_path / SHIFT).is_file()
    assert (tmp_path / "results/mine" / layout.cell_config(CELL)).is_file()
