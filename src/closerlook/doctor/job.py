"""One small job for each kind of node: does it run, see the results folder, import the package, see its GPU, write to scratch?"""

import json
import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from closerlook.config.site import Gpu, Site
from closerlook.core.shell import Answer, ask
from closerlook.doctor import probe
from closerlook.doctor.checks import Check

NO_MODULES = 97
"""How a job ends whose modules do not load."""
SEEN_WITHIN = 60.0
"""Seconds until a file that a job wrote must be seen on the login node; Snakemake waits as long (latency-wait)."""
GPU_MEMORY_SLACK = 0.95
"""A device shows a few per cent less than is written on it."""


def run_probe(where: str, name: str | None, site: Site, results: Path, file: str, timeout: float) -> Iterator[Check]:
    """Run a job on GPU type `name`, or without a GPU, and judge what it saw. `where` begins the name of each check.

    It has `timeout` seconds to start, and as many to end.
    """
    # In the folder that is there, so that nothing stays behind of a results folder that no run has made yet.
    parent = next(folder for folder in (results.absolute(), *results.absolute().parents) if folder.is_dir())
    try:
        shared = TemporaryDirectory(prefix=".doctor-", dir=parent)
    except OSError as error:
        yield Check(
            f"{where}: results", "FAILED", f"{parent}: {error.strerror}; expected a folder you can write to: --results"
        )
        return
    with shared as folder:
        nonce = uuid.uuid4().hex
        (Path(folder) / "login").write_text(nonce)
        answer = _submit(_command(name, site, Path(folder), nonce, timeout), nonce, timeout)
        report = _report(answer)
        if report is None:
            yield _no_report(where, name, site, answer, file, timeout)
            return
        yield Check(f"{where}: job", "ok", f"ran on {report['node']}")
        yield _results(where, report, Path(folder), nonce)
        yield from _judge(where, name, site, report, file)


def _options(name: str | None, site: Site) -> list[str]:
    partition = site.gpus[name].partition if name else site.cpu_partition
    options = [f"--partition={partition}"] if partition else []
    options += [f"--account={site.account}"] if site.account else []
    options += [f"--gres={site.gres(name, 1)}"] if name else []
    return [*options, "--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--mem=4000", "--time=10"]


def _command(name: str | None, site: Site, folder: Path, nonce: str, timeout: float) -> list[str]:
    options = _options(name, site)
    options += [f"--job-name={_job_name(nonce)}", f"--immediate={max(2, round(timeout))}"]  # 1 would mean now or never
    # As the workflow's rules load them, and with the Python that its jobs get.
    modules = f"module load {shlex.join(site.modules)} || exit {NO_MODULES}; " if site.modules else ""
    python = [sys.executable, "-c", Path(probe.__file__).read_text(), str(folder), site.scratch or ""]
    return ["srun", *options, "bash", "-c", f"{modules}exec {shlex.join(python)}"]


def _job_name(nonce: str) -> str:
    return f"closerlook-doctor-{nonce[:12]}"


def _submit(command: list[str], nonce: str, timeout: float) -> Answer:
    # Inside of an allocation srun would make a step of it, wherever that is.
    environment = {key: text for key, text in os.environ.items() if not key.startswith("SLURM_") or key == "SLURM_CONF"}
    try:
        job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    except OSError as error:
        return Answer(None, "", f"srun: {error.strerror}")
    try:
        output, complaints = job.communicate(timeout=2 * timeout)
        return Answer(job.returncode, output, complaints)
    except subprocess.TimeoutExpired:
        return Answer(None, "", f"it ran and had not ended after {2 * timeout:g} seconds")
    finally:
        if job.poll() is None:  # also when this is interrupted: no job may stay
            ask("scancel", f"--name={_job_name(nonce)}")
            job.kill()
            job.communicate()


def _report(answer: Answer) -> dict[str, Any] | None:
    """What the probe printed, which modules may have talked before."""
    marked = [line for line in answer.output.splitlines() if line.startswith(probe.MARK)]
    return json.loads(marked[-1].removeprefix(probe.MARK)) if marked else None


def _no_report(where: str, name: str | None, site: Site, answer: Answer, file: str, timeout: float) -> Check:
    what = f"{where}: job"
    if "nodes are busy" in answer.error:
        return Check(
            what, "skipped", f"no free node in {timeout:g} seconds: look again later, or with a longer --timeout"
        )
    if answer.code == NO_MODULES:
        said = answer.error.strip().splitlines()[0] if answer.error.strip() else "module load failed"
        listed = ", ".join(site.modules)
        return Check(
            what, "FAILED", f"{file}: modules: {said}; expected that {listed} can be loaded: module avail lists them"
        )
    if answer.code in (126, 127):
        shared = "the environment must lie where all nodes see it"
        return Check(what, "FAILED", f"{sys.executable} does not run there ({_complaint(answer)}): {shared}")
    by_hand = f"srun {' '.join(_options(name, site))} hostname"
    return Check(what, "FAILED", f"{_complaint(answer)}; expected a small job to run, as it should by hand: {by_hand}")


def _complaint(answer: Answer) -> str:
    """What went wrong, without srun's remark that something did."""
    lines = [line.strip() for line in answer.error.splitlines() if line.strip()]
    telling = [line for line in lines if "Exited with exit code" not in line and "queued and waiting" not in line]
    return telling[-1] if telling else answer.reason


def _results(where: str, report: dict[str, Any], folder: Path, nonce: str) -> Check:
    what, node = f"{where}: results", report["node"]
    shared = "--results must lie on a file system that all nodes share"
    if error := report["results"].get("error"):
        return Check(what, "FAILED", f"{node} does not see {folder.parent}, or cannot write to it ({error}): {shared}")
    end = time.monotonic() + SEEN_WITHIN
    while not (folder / "job").is_file() or (folder / "job").read_text() != nonce:
        if time.monotonic() > end:
            return Check(
                what, "FAILED", f"what {node} wrote in {folder.parent} is not seen here in {SEEN_WITHIN:g} s: {shared}"
            )
        os.listdir(folder)  # NFS looks again
        time.sleep(0.2)
    return Check(what, "ok", f"{node} reads and writes {folder.parent}")


def _judge(where: str, name: str | None, site: Site, report: dict[str, Any], file: str) -> Iterator[Check]:
    node = report["node"]
    if error := report["environment"].get("error"):
        advice = f"{sys.executable} must lie where all nodes see it, and run there"
        yield Check(f"{where}: environment", "FAILED", f"{node} cannot import closerlook and torch ({error}): {advice}")
    else:
        yield Check(f"{where}: environment", "ok", f"closerlook and torch {report['environment']['found']}")
        if name:
            yield _gpus(where, name, site.gpus[name], report, file)
    if site.scratch:
        error = report["scratch"].get("error")
        failed = f"{file}: scratch: {node} cannot write to {site.scratch} ({error}): name a folder that all nodes can write to"
        yield Check(
            f"{where}: scratch", "FAILED" if error else "ok", failed if error else f"{node} writes to {site.scratch}"
        )


def _gpus(where: str, name: str, gpu: Gpu, report: dict[str, Any], file: str) -> Check:
    what, node, torch = f"{where}: GPU", report["node"], report["environment"].get("found", "")
    if error := report["gpus"].get("error"):
        return Check(
            what,
            "FAILED",
            f"torch {torch} cannot use the GPU of {node} ({error}): it wants a newer driver, or an older torch",
        )
    found = report["gpus"]["found"]
    if len(found) != 1:
        build = "install a torch that is built for CUDA" if "+cpu" in torch else "run nvidia-smi in a job there"
        return Check(
            what,
            "FAILED",
            f"torch {torch} sees {len(found)} GPUs on {node}, expected the 1 that was asked for: {build}",
        )
    device, size = found[0][0], found[0][1] / 1e9
    if size < GPU_MEMORY_SLACK * gpu.gpu_memory_gb:
        key = f"{file}: gpus.{name}.gpu_memory_gb"
        return Check(what, "FAILED", f"{key}: found {gpu.gpu_memory_gb:g}, expected {size:.0f}, which {device} has")
    return Check(what, "ok", f"{device}, {size:.0f} GB")
