"""A real Slurm on this machine with two nodes of four GPUs each, in its own folder, independent of /etc/slurm.

The GPUs are links to /dev/null. Slurm hands them out, and a prolog empties CUDA_VISIBLE_DEVICES, so that programs take the CPU.
Every daemon is started with SLURM_CONF in its environment: slurmd then gives it to every step, so that srun inside a job,
even one submitted with --export=NONE, finds this cluster.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.support.slurm.cluster_files import NODES, forget_nodes, name_nodes, write


class Cluster:
    """`with Cluster() as cluster:` starts and stops it.

    Partitions: gpu (the default), cpu, and urgent, whose jobs send those of the others back to the queue.
    """

    def __init__(self) -> None:
        # Not pytest's folder: the path of a Unix socket has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="closerlook-slurm-"))
        self.configuration = self.folder / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        # Slurm would take the variables of a job that runs these tests for options.
        clean = {key: text for key, text in os.environ.items() if not key.startswith(("SLURM", "SBATCH", "SRUN"))}
        path = f"{self.folder}/bin:{Path(sys.executable).parent}:{clean.get('PATH', os.defpath)}"
        self.environment = clean | {"SLURM_CONF": str(self.configuration), "PATH": path}

    def __enter__(self) -> "Cluster":
        try:
            write(self.folder, self.environment["PATH"])
            name_nodes(self.folder)
            self._start("munged", "munged", "--foreground", "--force", *self._munge_files())
            _wait((self.folder / "munge.socket").exists, 20)
            self._start("slurmctld", "slurmctld", "-D", "-c")
            _wait(lambda: "UP" in self.run("scontrol", "ping", check=False), 30)
            for node in NODES:
                self._start_node(node)
            _wait(lambda: self.node_states() == dict.fromkeys(NODES, "idle"), 60)
        except BaseException as error:
            error.add_note(self.logs())
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, *command: str | Path, timeout: float = 60, check: bool = True) -> str:
        """Return a command's stdout and stderr. AssertionError if it fails and `check` is set."""
        done = subprocess.run(
            list(map(str, command)), env=self.environment, capture_output=True, text=True, timeout=timeout
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0 or not check, f"{command} exited with {done.returncode}: {output}"
        return output

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, also finished ones: id, name, state, reason, partition, nodes, restarts, exit_code, comment.

        `fields` has all that scontrol says of it.
        """
        lines = self.run("scontrol", "show", "job", "-o").splitlines()
        return [_job(line) for line in lines if line.startswith("JobId=")]

    def job(self, job_id: int) -> dict[str, Any]:
        """One job, as in `jobs`."""
        return _job(self.run("scontrol", "show", "job", "-o", str(job_id)))

    def submissions(self) -> list[list[str]]:
        """Arguments of each call of sbatch, in order."""
        log = self.folder / "sbatch.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def node_states(self) -> dict[str, str]:
        """State of each node (idle, mixed, allocated, down, ...), with `*` if it does not respond."""
        return dict(line.split() for line in self.run("sinfo", "-h", "-N", "-p", "gpu", "-o", "%N %T").splitlines())

    def wait_for(self, predicate: Callable[[], Any], timeout: float = 60) -> Any:
        """Return the first true value of `predicate`. AssertionError with the queue after `timeout` seconds."""
        try:
            return _wait(predicate, timeout)
        except AssertionError as error:
            error.add_note(self.run("squeue", "-t", "all", check=False) + self.run("sinfo", "-N", check=False))
            raise

    def start_now(self, job_id: int) -> None:
        """Let a requeued job start at once, which Slurm delays by two minutes."""
        self.run("scontrol", "update", f"jobid={job_id}", "starttime=now")

    def kill_node(self, name: str) -> None:
        """Simulate a power cut: kill the node's daemon and all its processes, and tell Slurm."""
        self._kill_all_of(name)
        self.run("scontrol", "update", f"nodename={name}", "state=down", "reason=power cut")

    def revive_node(self, name: str) -> None:
        """Start the node again."""
        self._start_node(name)  # ReturnToService=2: it is up once it registers
        self.wait_for(lambda: self.node_states()[name] in {"idle", "mixed", "allocated"})
        # Slurm's request to end the node's jobs is still pending, and would end new ones.
        self.wait_for(lambda: re.search(r"Agent count: +0\n", self.run("sdiag")))

    def logs(self) -> str:
        """Ends of the daemons' logs."""
        files = sorted([*self.folder.glob("*.log"), *self.folder.glob("*.out")])
        return "\n".join(f"{file.name}:\n{file.read_text(errors='replace')[-2000:]}" for file in files)

    def stop(self) -> None:
        """Stop all processes by id, and remove the folder."""
        for node in NODES:
            self._kill_all_of(node)
        for name in ("slurmctld", "munged"):
            if daemon := self._daemons.pop(name, None):
                _kill([process for root in _alive(daemon.pid) for process in (root, *root.children(recursive=True))])
                daemon.wait()
        forget_nodes(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _munge_files(self) -> list[str]:
        names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        return [f"--{option}={self.folder}/munge.{name}" for option, name in names.items()]

    def _start_node(self, name: str) -> None:
        self._start(name, "slurmd", "-D", "-N", name)

    def _start(self, name: str, *command: str) -> None:
        environment = self.environment | {"PATH": self.environment["PATH"] + ":/usr/sbin:/sbin"}
        with (self.folder / f"{name}.out").open("ab") as out:
            self._daemons[name] = subprocess.Popen(
                command, env=environment, cwd=self.folder, stdout=out, stderr=out, start_new_session=True
            )

    def _kill_all_of(self, node: str) -> None:
        if daemon := self._daemons.pop(node, None):
            daemon.kill()
            daemon.wait()
        for _ in range(20):  # processes that were just starting die in the next round
            if not (processes := list(self.processes(node))):
                return
            _kill(processes)
        raise AssertionError(f"{node}: still running: {processes}")

    def processes(self, node: str) -> Iterator[psutil.Process]:
        """Processes of Slurm on a node: step daemons, which hold the node's log open, and jobs, by their environment.

        A step daemon is no child of slurmd, and a job's process may have left its parents.
        """
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and self._belongs_to(process, node):
                    yield process
            except (psutil.Error, OSError):
                continue

    def _belongs_to(self, process: psutil.Process, node: str) -> bool:
        environment = process.environ()
        if environment.get("SLURM_CONF") == str(self.configuration) and environment.get("SLURMD_NODENAME") == node:
            return True
        files = process.open_files() if process.name().startswith("slurm") else []
        return str(self.folder / f"{node}.log") in {file.path for file in files}


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=1)  # orphans may stay as zombies where pid 1 does not collect them


def _alive(pid: int) -> list[psutil.Process]:
    return [psutil.Process(pid)] if psutil.pid_exists(pid) else []


def _wait(predicate: Callable[[], Any], timeout: float) -> Any:
    end = time.monotonic() + timeout
    while not (value := predicate()):
        assert time.monotonic() < end, f"waited {timeout} s in vain"
        time.sleep(0.2)
    return value


def _job(line: str) -> dict[str, Any]:
    """A line of `scontrol show job -o`: values may hold spaces, keys begin with a capital letter."""
    fields = dict(re.findall(r"(?:^|\s)([A-Z][\w/:]*)=(.*?)(?=\s+[A-Z][\w/:]*=|\s*$)", line))
    return {
        "id": int(fields["JobId"]),
        "name": fields["JobName"],
        "state": fields["JobState"],
        "reason": fields["Reason"],
        "partition": fields["Partition"],
        "nodes": fields["NodeList"],
        "restarts": int(fields["Restarts"]),
        "exit_code": fields["ExitCode"],
        "comment": fields.get("Comment", ""),
        "fields": fields,
    }
