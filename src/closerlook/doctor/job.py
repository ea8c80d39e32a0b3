"""A small job on each type of node: does it run, share the results folder, import the package, see its GPU, write to scratch?"""

import json
import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from closerlook.config.site import Site
from closerlook.core.shell import CommandResult, run_command
from closerlook.doctor import probe
from closerlook.doctor.checks import Check, Failed, Skipped, check

NO_MODULES = 97
"""Exit status of a job whose modules do not load."""
SEEN_WITHIN = 60.0
"""Seconds until the login node must see a file that a job wrote; Snakemake waits as long (latency-wait)."""
GPU_MEMORY_SLACK = 0.95
"""A GPU reports a few per cent less memory than its data sheet."""


def check_with_job(gpu: str | None, site: Site, results: Path, file: str, timeout: float) -> Iterator[Check]:
    """Run a job with one GPU of a type, or without a GPU, and check what it reports.

    file: the site file, for messages. timeout: seconds for the job to start, and again to end.
    """
    kind = gpu or "cpu"
    # A folder that exists already, so that no empty results folder is left behind.
    parent = next(folder for folder in (results.absolute(), *results.absolute().parents) if folder.is_dir())
    try:
        shared = TemporaryDirectory(prefix=".doctor-", dir=parent)
    except OSError as error:
        yield Check(f"{kind}: results", "FAILED", f"{parent}: {error.strerror}; expected a writable folder: --results")
        return
    with shared as name:
        job = _Job(gpu, site, file, timeout, Path(name), uuid.uuid4().hex)
        (job.folder / "login").write_text(job.nonce)
        answer = job.run()
        # Modules may print something first.
        lines = [line for line in answer.output.splitlines() if line.startswith(probe.MARK)]
        if not lines:
            yield check(f"{kind}: job", job.explain_failure, answer)
            return
        report = json.loads(lines[-1].removeprefix(probe.MARK))
        yield Check(f"{kind}: job", "ok", f"ran on {report['node']}")
        yield check(f"{kind}: results", job.check_results, report)
        yield (environment := check(f"{kind}: environment", job.check_environment, report))
        if gpu and environment.state == "ok":
            yield check(f"{kind}: GPU", job.check_gpu, gpu, report)
        if site.scratch:
            yield check(f"{kind}: scratch", job.check_scratch, report)


@dataclass(frozen=True)
class _Job:
    """A job that runs closerlook.doctor.probe. nonce: a text that login node and job pass each other through `folder`."""

    gpu: str | None
    site: Site
    file: str
    timeout: float
    folder: Path
    nonce: str

    def options(self) -> list[str]:
        """Return srun's options for the size and the place of the job."""
        partition = self.site.gpus[self.gpu].partition if self.gpu else self.site.cpu_partition
        options = [f"--partition={partition}"] if partition else []
        options += [f"--account={self.site.account}"] if self.site.account else []
        options += [f"--gres={self.site.gres(self.gpu, 1)}"] if self.gpu else []
        return [*options, "--nodes=1", "--ntasks=1", "--cpus-per-task=1", "--mem=4000", "--time=10"]

    def run(self) -> CommandResult:
        """Run the job to its end. A job that does not end in time, or is interrupted, is cancelled."""
        name = f"closerlook-doctor-{self.nonce[:12]}"
        wait = max(2, round(self.timeout))  # 1 would mean: at once or never
        modules = self.site.modules  # loaded as by the workflow's rules
        load = f"module load {shlex.join(modules)} || exit {NO_MODULES}; " if modules else ""
        python = [sys.executable, "-c", Path(probe.__file__).read_text(), str(self.folder), self.site.scratch or ""]
        command = ["srun", *self.options(), f"--job-name={name}", f"--immediate={wait}"]
        command += ["bash", "-c", f"{load}exec {shlex.join(python)}"]
        # Within an allocation, srun would start a step of it.
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("SLURM_") or key == "SLURM_CONF"
        }
        try:
            srun = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        except OSError as error:
            return CommandResult(None, "", f"srun: {error.strerror}")
        try:
            output, errors = srun.communicate(timeout=2 * self.timeout)
            return CommandResult(srun.returncode, output, errors)
        except subprocess.TimeoutExpired:
            return CommandResult(None, "", f"it had not ended after {2 * self.timeout:g} seconds")
        finally:
            if srun.poll() is None:
                run_command("scancel", f"--name={name}")
                srun.kill()
                srun.communicate()

    def explain_failure(self, answer: CommandResult) -> str:
        """Raise Failed or Skipped for a job that reported nothing."""
        lines = [line.strip() for line in answer.error.splitlines() if line.strip()]
        if "nodes are busy" in answer.error:
            raise Skipped(f"no free node in {self.timeout:g} seconds: try again later, or with a longer --timeout")
        if answer.code == NO_MODULES:
            raise Failed(
                f"{self.file}: modules: {lines[0] if lines else 'module load failed'}; "
                f"expected modules that load: {', '.join(self.site.modules)}; module avail lists them"
            )
        # Not srun's own remarks.
        lines = [line for line in lines if "Exited with exit code" not in line and "queued and waiting" not in line]
        problem = lines[-1] if lines else answer.failure
        if answer.code in (126, 127):
            raise Failed(
                f"{sys.executable} does not run there ({problem}): the environment must be where all nodes see it"
            )
        command = f"srun {' '.join(self.options())} hostname"
        raise Failed(f"{problem}; expected a small job to run, as by hand: {command}")

    def check_results(self, report: dict[str, Any]) -> str:
        """Login node and job see each other's files."""
        node, parent, file = report["node"], self.folder.parent, self.folder / "job"
        advice = "--results must be on a file system that all nodes share"
        if error := report["results"].get("error"):
            raise Failed(f"{node} does not see {parent}, or cannot write to it ({error}): {advice}")
        end = time.monotonic() + SEEN_WITHIN
        while not file.is_file() or file.read_text() != self.nonce:
            if time.monotonic() > end:
                raise Failed(f"a file that {node} wrote in {parent} is not seen here after {SEEN_WITHIN:g} s: {advice}")
            os.listdir(self.folder)  # makes NFS look again
            time.sleep(0.2)
        return f"{node} reads and writes {parent}"

    def check_environment(self, report: dict[str, Any]) -> str:
        """The job can import closerlook and torch."""
        if error := report["environment"].get("error"):
            raise Failed(
                f"{report['node']} cannot import closerlook and torch ({error}): "
                f"{sys.executable} must be where all nodes see it, and run there"
            )
        return f"closerlook and torch {report['environment']['value']}"

    def check_gpu(self, name: str, report: dict[str, Any]) -> str:
        """Torch sees the one GPU that the job asked for, with the memory that the site file says."""
        node, torch = report["node"], report["environment"]["value"]
        if error := report["gpus"].get("error"):
            raise Failed(f"{node} has no GPU that torch {torch} can use: {error.removeprefix('CloserlookError: ')}")
        gpus = report["gpus"]["value"]
        if len(gpus) != 1:
            raise Failed(
                f"torch {torch} sees {len(gpus)} GPUs on {node}, expected the 1 that was asked for; look at "
                "CUDA_VISIBLE_DEVICES and nvidia-smi in a job there"
            )
        ((device, size),) = gpus
        expected = self.site.gpus[name].gpu_memory_gb
        if size / 1e9 < GPU_MEMORY_SLACK * expected:
            key = f"{self.file}: gpus.{name}.gpu_memory_gb"
            raise Failed(f"{key}: found {expected:g}, expected {size / 1e9:.0f}, the memory of {device}")
        return f"{device}, {size / 1e9:.0f} GB"

    def check_scratch(self, report: dict[str, Any]) -> str:
        """The job can write to the site's scratch folder."""
        node, scratch = report["node"], self.site.scratch
        if error := report["scratch"].get("error"):
            raise Failed(
                f"{self.file}: scratch: {node} cannot write to {scratch} ({error}): name a folder that all nodes can write to"
            )
        return f"{node} writes to {scratch}"
