"""The start of a job: the seconds that a job of a local run takes beyond its own work.

One job of each rule of a finished miniature (`make demo`) is run again in a copy of its results: in ordinary Pythons, and in
forks of the run's server, which has run the same job before. The own work of a job is the time of its program in a process that
has imported what it imports; the rest is its start (with its end, and for some rules the supervisor).
The share is that of the starts in the seconds of all jobs. Snakemake's own time and waiting for cores are in neither.
"""

import argparse
import contextlib
import importlib
import json
import os
import re
import runpy
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from closerlook.cluster import fork_server
from closerlook.cluster.fork_environment import THREAD_LIMITS
from closerlook.core.scripts import prefer_this_python
from common import REPOSITORY, in_process, make_parser, report, setting, table, write

RESULTS = Path("results/mini")
NOT_ALONE = {"pretrain", "miniature"}
"""Rules that are left out: they take minutes, or every other job would have to be run again after them."""
THREADS = {f"{name}_NUM_THREADS": "1" for name in THREAD_LIMITS} | {"VECLIB_MAXIMUM_THREADS": "1"}
PROGRAM = re.compile(r"python (workflow/scripts/(?!supervise)\w+\.py .*?)(?: 2> \S+)?$")
WAYS = ("ordinary Pythons", "forks of the server")


class Job(NamedTuple):
    """A job of a rule: its command, and how many jobs the rule has."""

    command: str
    count: int


def jobs_of(folder: Path) -> dict[str, Job]:
    """The first job of each rule, from a dry run."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", "--printshellcmds", "--cores", "1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = {}
    for block in re.split(r"^(?:local)?rule ", done.stdout + done.stderr, flags=re.MULTILINE)[1:]:
        shell = re.search(r"^\s*Shell command: (.*)$", block, re.MULTILINE)
        if shell and PROGRAM.search(shell[1]):
            found.setdefault(block.partition(":")[0], []).append(shell[1])
    return {rule: Job(commands[0], len(commands)) for rule, commands in found.items() if rule not in NOT_ALONE}


def seconds(command: str, folder: Path, environment: dict[str, str]) -> float:
    """Run a job's command as Snakemake does."""
    start = time.perf_counter()
    done = subprocess.run(command, shell=True, executable="/bin/bash", cwd=folder, env=environment)
    if done.returncode:
        sys.exit(f"failed: {command}")
    return time.perf_counter() - start


def own_work(command: str, repeats: int) -> None:
    """Run a program in a fork and then, when everything is imported that it imported, in this process; print its median."""
    found = PROGRAM.search(command)
    assert found, command
    sys.argv = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {found[1]}"], capture_output=True, text=True, check=True
    ).stdout.split("\0")[:-1]
    with tempfile.NamedTemporaryFile("r") as modules:
        if not os.fork():
            runpy.run_path(sys.argv[0], run_name="__main__")
            Path(modules.name).write_text("\n".join(sys.modules))
            os._exit(0)
        os.wait()
        for module in modules.read().splitlines():
            with contextlib.suppress(Exception):
                importlib.import_module(module)
    runs = []
    for _ in range(repeats):
        start = time.perf_counter()
        runpy.run_path(sys.argv[0], run_name="__main__")
        runs.append(time.perf_counter() - start)
    print(json.dumps({"own": statistics.median(runs)}))


def measure(folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """By rule: jobs, and the medians of a job's own seconds and of its whole seconds in either way."""
    jobs = jobs_of(folder)
    prefer_this_python()
    environments = [os.environ | THREADS]
    fork_server.start(REPOSITORY / "workflow/scripts")
    environments.append(os.environ | THREADS)
    result = {}
    for rule, job in jobs.items():
        seconds(job.command, folder, environments[1])  # the server learns
        runs = [[seconds(job.command, folder, each) for each in environments] for _ in range(repeats)]
        own = in_process(rule, __file__, "--own", job.command, "--folder", folder, "--repeats", repeats)
        medians = map(statistics.median, zip(*runs, strict=True))
        result[rule] = {"jobs": job.count} | own | dict(zip(WAYS, medians, strict=True))
        report(rule, result[rule])
    return result


def main() -> None:
    """Copy the results, measure, write the tables."""
    parser = make_parser(__doc__ or "")
    parser.add_argument("--own", metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.own:
        os.environ |= THREADS | {"HF_HUB_OFFLINE": "1"}
        os.chdir(arguments.folder)
        return own_work(arguments.own, arguments.repeats)
    if not (REPOSITORY / RESULTS / "report/index.html").exists():
        sys.exit(f"{RESULTS} is missing or not finished; run: make demo")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in ("Snakefile", "workflow", "config", "envs", "profiles"):
            (folder / source).symlink_to(REPOSITORY / source)
        shutil.copytree(REPOSITORY / RESULTS, folder / RESULTS, symlinks=True)
        result = measure(folder, arguments.repeats)

    rows = []
    for rule, of in result.items():
        starts = [f"{of[way] - of['own']:.2f}" for way in WAYS]
        rows.append([rule, f"{of['jobs']}", f"{of['own']:.2f}", *starts])
    all_jobs = {way: totals(result, way) for way in WAYS}
    header = ["rule", "jobs", "own work, s", *(f"start in {way}, s" for way in WAYS)]
    lines = [*table("lrrrr", header, rows), "", *(f"In {way}: {sentence(found)}." for way, found in all_jobs.items())]
    about = setting(arguments.repeats, "torch", "transformers", "snakemake", threads=1)
    write(arguments.out, "start", __doc__ or "", about, lines, {"rules": result, "all jobs": all_jobs})


def totals(rules: dict[str, dict[str, float]], way: str) -> dict[str, float]:
    """Over all jobs: the median start, and the sums of the starts and of the whole seconds."""
    starts = [of[way] - of["own"] for of in rules.values() for _ in range(int(of["jobs"]))]
    whole = sum(of[way] * of["jobs"] for of in rules.values())
    return {"median_start": statistics.median(starts), "starts": sum(starts), "whole": whole}


def sentence(found: dict[str, float]) -> str:
    """The totals of a way, in words."""
    share = found["starts"] / found["whole"]
    return (
        f"median start of a job {found['median_start']:.2f} s; "
        f"all starts {found['starts']:.0f} s, {share:.0%} of the {found['whole']:.0f} s of all jobs"
    )


if __name__ == "__main__":
    main()
