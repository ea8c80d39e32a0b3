"""A project whose programs are replaced by one that only writes the files it was asked for: the DAG, without the hours."""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.support import REPOSITORY, preset

STAND_IN = """
import sys
from itertools import takewhile
from pathlib import Path
from closerlook.config.benchmarks import MINIATURE_TASKS
script, arguments = Path(sys.argv[0]).stem, sys.argv[1:]
after_out = arguments[arguments.index("--out") + 1 :]
out = Path(after_out[0])
files = {
    "make_miniature": [out / n for n in ("world.json", "corpus.txt", "questions.jsonl", "planted.jsonl", "tasks.yaml")]
    + [out / "texts/corpus.jsonl"]
    + [out / "tasks" / f"{task.name}.jsonl" for task in MINIATURE_TASKS]
    + [out / "datasets" / f"{name}.jsonl" for name in ("brief", "verbose", "domain", "mixture", "planted", "zipf")],
    "benchmark": [out / f"{task.name}.parquet" for task in MINIATURE_TASKS],
    "retention": list(map(Path, takewhile(lambda word: not word.startswith("--"), after_out))),
    "train": [out / n for n in ("model/weights", "train_log.jsonl", "manifest.json")],
    "fetch_model": [out / "weights"],
    "build_index": [out / "exact"],
    "embed": [out / "vectors"],
    "page": [out / "index.html"],
    "pretrain_miniature": [out / "weights"],
    "table": [out, out.with_suffix(".md"), out.with_suffix(".tex")],
    "figure": [out, *(out.with_suffix(kind) for kind in (".png", ".pdf", ".md"))],
}.get(script, [out])
if "--report" in arguments:
    files.append(Path(arguments[arguments.index("--report") + 1]))
if script == "train" and Path("fail").exists() and str(out).endswith(Path("fail").read_text()):
    sys.exit("error: told to fail")
for file in files:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(" ".join(arguments))
"""

SUPERVISE = "supervise.py"
"""Runs the programs; it stays what it is."""
PRESET = preset.PRESET | {"preset": "dag", "template": "alpaca"}


class Project:
    """A project folder in which Snakemake can be run, for real or dry."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.preset = yaml.safe_load(yaml.safe_dump(PRESET))
        for name in ("Snakefile", "workflow", "config", "envs", "profiles"):
            source = REPOSITORY / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
        for script in (folder / "workflow/scripts").glob("*.py"):
            if script.name != SUPERVISE:
                script.write_text(STAND_IN)

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        """Run Snakemake on the project's preset; its output, both streams."""
        (self.folder / "config/dag.yaml").write_text(yaml.safe_dump(self.preset))
        command = [sys.executable, "-m", "snakemake", "--cores", "all", "--configfile", "config/dag.yaml"]
        command += ["--scheduler", "greedy", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300)
        output = done.stdout + done.stderr
        assert done.returncode == 0 or not check, output
        return output

    def plan(self) -> Counter[str]:
        """What a dry run would do: how many jobs of each rule."""
        output = self.snakemake("--dry-run")
        if "Nothing to be done" in output:
            return Counter()
        lines = output.split("Job stats:")[1].split("total")[0].splitlines()
        return Counter(
            {fields[0]: int(fields[1]) for line in lines if len(fields := line.split()) == 2 and fields[1].isdigit()}
        )


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project"))
    project.snakemake()
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A finished run that a test may change as it likes."""
    folder = tmp_path / "project"
    shutil.copytree(finished.folder, folder, symlinks=True)
    copy = object.__new__(Project)
    copy.folder, copy.preset = folder, yaml.safe_load(yaml.safe_dump(finished.preset))
    return copy
