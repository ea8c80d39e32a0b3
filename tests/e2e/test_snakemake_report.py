"""Snakemake's own report of a finished run: built without a network, with the captions and labels of every result."""

import json
import os
import re
import subprocess
import sys

import pytest
from tests.support.pages import words
from tests.support.workflow_project import Project

from closerlook.report.figures.registry import FIGURES
from closerlook.report.tables.registry import TABLES

pytestmark = pytest.mark.e2e


def test_the_report_of_a_finished_run(project: Project) -> None:
    command = [sys.executable, "-m", "snakemake", "--cores", "all", "--configfile", "config/dag.yaml"]
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [*command, "--report", "report.html"],
        cwd=project.folder,
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = (project.folder / "report.html").read_text()
    assert "system-message" not in page
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']?https?:", page)
    assert "the preset" in page
    results = json.loads(re.search(r"var results = (\{.*?\});?\s*</script>", page, re.DOTALL)[1])
    by_name = {name.removeprefix("results/dag/"): result for name, result in results.items()}
    assert {name for name in by_name if name.startswith("tables/")} >= {"tables/shift.csv", "tables/collapse.csv"}
    shift = by_name["tables/shift.csv"]
    assert TABLES["shift"].caption[:60] in words(shift["caption"])
    assert shift["labels"] == {"shows": TABLES["shift"].title}
    assert FIGURES["token_shift"].caption[:60] in words(by_name["figures/token_shift.svg"]["caption"])
    cell = by_name["cells/miniature/brief@100/lft/manifest.json"]
    assert cell["labels"] == {"model": "miniature", "dataset": "brief@100", "method": "lft", "seed": "0"}
    assert "--learning-rate" in words(cell["caption"])
    assert all(result["caption"] for result in results.values())
