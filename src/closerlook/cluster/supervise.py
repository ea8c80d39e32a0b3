"""Run one attempt at a job and record how it ended (closerlook.cluster.attempts).

The supervisor runs on the first node, outside the processes that it supervises, so that it survives what kills them. If it is
killed too (by a node failure or kill -9), its attempt has no end; the next start finds out why, with Slurm's help.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType

import psutil

from closerlook.cluster import adoption, attempts, slurm
from closerlook.cluster.attempts import FINAL, Attempt
from closerlook.cluster.gpus import VISIBLE, lease_gpus
from closerlook.core.errors import CloserlookError, Reason
from closerlook.core.files import write_json
from closerlook.core.fingerprint import fingerprint
from closerlook.core.scripts import FAILURE_NOTE

POLL_SECONDS = 2.0
LOG_TAIL = 30
HANDED_OVER = 75
"""Exit status of an adopted job that finished: not zero, or the Snakemake that started it would wait for the outputs."""
CLOSE_TO_LIMIT_SECONDS = 90
"""A signal this close to the announced warning counts as the time limit's; Slurm may be a minute early."""


@dataclass(frozen=True)
class Job:
    """A job as its rule describes it."""

    stage: str
    folder: Path
    outputs: tuple[Path, ...]
    inputs: tuple[Path, ...]
    log: Path
    identity: str
    """Everything that decides the result, except the inputs."""
    tries: int
    """Number of this try within the current run of Snakemake, from 1."""
    notice_seconds: int
    """How long before the time limit Slurm sends its warning."""
    gpus: int | None = None
    """GPUs of this machine that it needs; it sees no others. None where Slurm assigns them, or there are none."""

    @cached_property
    def digest(self) -> str:
        """The value of `Attempt.command`. As in Snakemake, an input is identified by its modification time."""
        times = {str(path): path.stat().st_mtime_ns for path in self.inputs if path.exists()}
        return fingerprint(identity=self.identity, inputs=times)

    @property
    def records(self) -> Path:
        """The folder of its attempts."""
        return attempts.records_folder(self.folder, self.stage)


def supervise(job: Job, command: Sequence[str]) -> int:
    """Run `command` and return its exit status.

    Waits until as many GPUs are free as the job needs. Returns HANDED_OVER if a new driver has adopted the job, and 0 without
    running the command if an adopted job has finished it.
    Raises CloserlookError if the job runs elsewhere, or if it failed before for a reason that a retry does not help.
    """
    earlier = _read_attempts(job)
    same = [attempt for attempt in attempts.since_success(earlier) if attempt.command == job.digest]
    if adoption.take_over(job.records, job.outputs, earlier, job.digest, os.environ.get("SLURM_JOB_ID")):
        print(f"{job.folder}: {job.stage}: took over the outputs of job {earlier[-1].job}", file=sys.stderr)
        return 0
    if job.tries > 1 and same and same[-1].reason in FINAL:
        raise CloserlookError(f"not tried again, after it failed ({same[-1].reason}): {same[-1].message}")
    if job.gpus is None:
        return _Supervisor(job, same).run(command)
    with lease_gpus(job.gpus) as gpus:
        return _Supervisor(job, same, gpus).run(command)


def _read_attempts(job: Job) -> list[Attempt]:
    """Return the earlier attempts, each with its end. Raises CloserlookError if the last one still runs."""
    earlier = attempts.read(job.folder, job.stage)
    if not earlier or earlier[-1].ended:
        return earlier
    last = earlier[-1]
    if _is_running(last):
        where = f"job {last.job}" if last.job else f"process {last.pid} on {last.host}"
        raise CloserlookError(f"{job.folder}: {job.stage} is already run by {where}; wait until it ends, or stop it")
    reason, message = _why_vanished(last)
    end = {"ended": attempts.now(), "reason": reason, "message": message}
    if reason == "node failure" and last.nodes:
        end["failed_nodes"] = slurm.down_nodes(last.nodes) or last.nodes
    return [*earlier[:-1], last.model_copy(update=end)]


def _is_running(attempt: Attempt) -> bool:
    """Whether an attempt without an end still runs. An earlier start of this same job, requeued by Slurm, does not."""
    if attempt.job:
        return attempt.job != os.environ.get("SLURM_JOB_ID") and _job_state(attempt.job) in slurm.LIVE
    return attempt.host == socket.gethostname() and attempt.pid != os.getpid() and attempts.is_alive(attempt)


def _job_state(job: str) -> str | None:
    return (slurm.job_states([job]) or {}).get(job)


def _why_vanished(attempt: Attempt) -> tuple[Reason, str]:
    """Reason and message for an attempt that was killed before it could record its end."""
    if attempt.job is None:
        return "unknown", "killed before it could say why"
    state = _job_state(attempt.job)
    if state in slurm.FAILED:
        return slurm.FAILED[state]
    if attempt.nodes and (down := slurm.down_nodes(attempt.nodes)):
        return "node failure", f"node {down} is down"
    if attempt.job == os.environ.get("SLURM_JOB_ID") or state in slurm.LIVE:
        return "preempted", "Slurm took its nodes and requeued it"
    return "unknown", f"killed before it could say why; Slurm's state of the job: {state or 'unknown'}"


class _Supervisor:
    """Runs one attempt. same: the earlier attempts at the same result since its last success. gpus: as lease_gpus yields them."""

    def __init__(self, job: Job, same: list[Attempt], gpus: Mapping[str, int] | None = None) -> None:
        self.job, self.same, self.gpus = job, same, gpus
        self.attempt = Attempt(
            stage=job.stage,
            number=len(same) + 1,
            command=job.digest,
            job=os.environ.get("SLURM_JOB_ID"),
            nodes=os.environ.get("SLURM_JOB_NODELIST"),
            host=socket.gethostname(),
            pid=os.getpid(),
            log=str(job.log),
            started=attempts.now(),
        )
        self.at_start: dict[str, str] = {}
        """Slurm's fields of the job at its start."""
        self.signals: list[signal.Signals] = []

    def run(self, command: Sequence[str]) -> int:
        """Run the command and return the exit status of `supervise`."""
        self._update()
        if self.attempt.job:
            self.at_start = slurm.show_job(self.attempt.job)
        with tempfile.TemporaryDirectory() as folder:
            note = Path(folder) / "failure"
            status = self._run_command(command, note)
            reason, message = (None, "") if status == 0 else self._why_failed(status, note)
        self._update(ended=attempts.now(), reason=reason, message=message)
        if status:
            self._write_failure()
            return status if status > 0 else 128 - status
        attempts.failure_file(self.job.folder, self.job.stage).unlink(missing_ok=True)
        return HANDED_OVER if adoption.hand_over(self.job.records, self.job.outputs, self.attempt.job) else 0

    def _update(self, **changes: object) -> None:
        """Change the attempt and write it."""
        self.attempt = self.attempt.model_copy(update=changes)
        attempts.write(self.job.folder, self.job.stage, [*self.same, self.attempt])

    def _run_command(self, command: Sequence[str], note: Path) -> int:
        """Run the command and return its exit status. Raises CloserlookError if a later start has replaced this one."""
        # Models and data are fetched by rules of their own; compute nodes may have no network.
        environment = os.environ | {FAILURE_NOTE: str(note), "HF_HUB_OFFLINE": "1"}
        if self.gpus is not None:
            environment[VISIBLE] = ",".join(self.gpus)
        # With the locks it keeps its GPUs for as long as it runs, also if this process is killed.
        child = subprocess.Popen(command, env=environment, pass_fds=tuple((self.gpus or {}).values()))

        def forward(number: int, frame: FrameType | None) -> None:
            self.signals.append(signal.Signals(number))
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)

        for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT):
            signal.signal(number, forward)
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return child.wait(POLL_SECONDS)
            if attempts.read(self.job.folder, self.job.stage)[-1:] not in ([], [self.attempt]):
                _kill_tree(child)
                raise CloserlookError(
                    f"{self.job.folder}: {self.job.stage} was started elsewhere as well; this start was stopped"
                )
            if self.signals and self.attempt.reason is None:
                # Slurm may kill this process before the command ends, so the reason is written now.
                reason, message = self._why_signaled()
                self._update(reason=reason, message=message)

    def _why_failed(self, status: int, note: Path) -> tuple[Reason, str]:
        """Reason and message of a failed command: from the notes of its ranks, else from signals, else from its log."""
        notes = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(note.parent.glob(f"{note.name}.*"))]
        for entry in notes:
            if entry["reason"] != "unknown":
                return entry["reason"], entry["message"]
        if self.signals or status in (-signal.SIGTERM, 128 + signal.SIGTERM):
            return self._why_signaled()
        lines = log_tail(self.job.log)
        if any(re.search(r"oom[-_ ]kill|out of memory", line, re.IGNORECASE) for line in lines):
            return "out of memory", "the kernel or Slurm killed it for using more main memory than the job had"
        if named := [line for line in lines if re.search(r"node fail(ure)?\b", line, re.IGNORECASE)]:
            return "node failure", named[-1]
        if notes:
            return "unknown", notes[0]["message"]
        how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
        return "unknown", f"{how}; the log ends with: {lines[-1] if lines else 'nothing'}"

    def _why_signaled(self) -> tuple[Reason, str]:
        """Reason and message of a stop by a signal."""
        if self.attempt.job is None or signal.SIGINT in self.signals:
            return "cancelled", "stopped by a signal"
        fields = slurm.show_job(self.attempt.job)
        state = fields.get("JobState", "")
        if state in slurm.FAILED:
            return slurm.FAILED[state]
        if fields.get("Restarts") != self.at_start.get("Restarts"):
            return slurm.FAILED["PREEMPTED"]
        if slurm.seconds_left(self.at_start) <= self.job.notice_seconds + CLOSE_TO_LIMIT_SECONDS:
            return "time limit", f"Slurm stops it at its time limit, {self.at_start['TimeLimit']}"
        # A cancelled job is completing; one that still runs was warned of its preemption.
        return slurm.FAILED["CANCELLED" if state == "COMPLETING" else "PREEMPTED"]

    def _write_failure(self) -> None:
        attempt = self.attempt.model_dump(mode="json", exclude={"number", "command", "pid", "failed_nodes"})
        value = attempt | {
            "attempt": self.attempt.number,
            "earlier_reasons": [earlier.reason for earlier in self.same],
            "log_tail": log_tail(self.job.log),
            "tried_again_by_itself": self.attempt.reason not in FINAL,
        }
        write_json(value, attempts.failure_file(self.job.folder, self.job.stage))


def _kill_tree(child: subprocess.Popen[bytes]) -> None:
    for process in [*psutil.Process(child.pid).children(recursive=True), child]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    child.wait()


def log_tail(log: Path) -> list[str]:
    """Return the last lines of a log. Of a progress bar, which overwrites its line, only the last state is kept."""
    if not log.is_file():
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 20_000))
        text = stream.read().decode("utf-8", errors="replace")
    lines = (line.split("\r")[-1].rstrip() for line in text.replace("\r\n", "\n").rstrip("\r\n").split("\n"))
    return [line for line in lines if line][-LOG_TAIL:]
