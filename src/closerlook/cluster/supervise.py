"""Watches over one start of a job, and says afterwards what became of it (`closerlook.cluster.attempts`).

It runs on the first node, outside the programs it watches, so that it can tell of their end whatever killed them. What kills it
as well (the node, a kill -9) leaves an attempt without an end, which the next start explains with Slurm's help.
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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType

import psutil

from closerlook.cluster import adoption, attempts, slurm
from closerlook.cluster.attempts import FINAL, Attempt
from closerlook.cluster.stage_status import lives
from closerlook.core.errors import CloserlookError, Reason
from closerlook.core.files import write_json
from closerlook.core.fingerprint import fingerprint
from closerlook.core.scripts import FAILURE_NOTE

POLL_SECONDS = 2.0
LOG_TAIL = 30
HANDED_OVER = 75
"""Exit status of a job whose outputs wait for another: no failure, but Snakemake need not look for them where it started."""
CLOSE_TO_LIMIT_SECONDS = 90
"""A notice that comes this close to the announced one is taken for the time limit's; Slurm may be a minute early."""


@dataclass(frozen=True)
class Job:
    """A job as its rule describes it."""

    stage: str
    folder: Path
    outputs: tuple[Path, ...]
    inputs: tuple[Path, ...]
    log: Path
    identity: str
    """All that decides the result beside the inputs."""
    tries: int
    """Which try of this Snakemake's it is; 1 for the first since it was started."""
    notice_seconds: int
    """How long before its time limit Slurm gives notice."""

    @cached_property
    def digest(self) -> str:
        """What `Attempt.command` holds. Inputs count by their time, as they do for Snakemake."""
        times = {str(path): path.stat().st_mtime_ns for path in self.inputs if path.exists()}
        return fingerprint(identity=self.identity, inputs=times)

    @property
    def records(self) -> Path:
        """The folder of its attempts."""
        return attempts.folder_of(self.folder, self.stage)


def supervise(job: Job, command: Sequence[str]) -> int:
    """Run `command` and return its exit status, or HANDED_OVER; 0 without running it when another has handed over to this one.

    Raises CloserlookError when the job runs elsewhere, and when it failed before in a way that another try would not mend.
    """
    earlier = _explained(attempts.read(job.folder, job.stage), job)
    same = [attempt for attempt in attempts.since_success(earlier) if attempt.command == job.digest]
    if adoption.take_over(job.records, job.outputs, earlier, job.digest, os.environ.get("SLURM_JOB_ID")):
        print(
            f"{job.folder}: {job.stage}: taken over from job {earlier[-1].job}, which had finished it", file=sys.stderr
        )
        return 0
    if job.tries > 1 and same and same[-1].reason in FINAL:
        raise CloserlookError(f"not tried again, after it failed ({same[-1].reason}): {same[-1].message}")
    mine = _attempt(job, len(same) + 1)
    attempts.write(job.folder, job.stage, [*same, mine])
    with tempfile.TemporaryDirectory() as notes:
        ended = _run(job, command, mine, Path(notes) / "failure")
    if ended is None:
        raise CloserlookError(f"{job.folder}: {job.stage} was started elsewhere too, so this start gave way")
    status, mine = ended
    attempts.write(job.folder, job.stage, [*same, mine])
    if mine.done:
        attempts.failure_file(job.folder, job.stage).unlink(missing_ok=True)
        if adoption.hand_over_if_adopted(job.records, job.outputs, mine.job):
            return HANDED_OVER
    else:
        _write_failure(job, mine, same)
    return status


def _attempt(job: Job, number: int) -> Attempt:
    environment = os.environ
    return Attempt(
        stage=job.stage,
        number=number,
        command=job.digest,
        job=environment.get("SLURM_JOB_ID"),
        nodes=environment.get("SLURM_JOB_NODELIST"),
        host=socket.gethostname(),
        pid=os.getpid(),
        log=str(job.log),
        started=attempts.now(),
    )


def _explained(earlier: list[Attempt], job: Job) -> list[Attempt]:
    """The earlier attempts, each with its end. Raises CloserlookError when the last one is still at it."""
    if not earlier or earlier[-1].ended:
        return earlier
    last = earlier[-1]
    if is_running(last):
        where = f"job {last.job}" if last.job else f"process {last.pid} on {last.host}"
        raise CloserlookError(
            f"{job.folder}: {job.stage} is being done by {where} already; wait for it or stop it first"
        )
    reason, message = why_vanished(last)
    end = {"ended": attempts.now(), "reason": reason, "message": message}
    if reason == "node failure" and last.nodes:
        end["failed_nodes"] = slurm.down_nodes(last.nodes) or last.nodes
    return [*earlier[:-1], last.model_copy(update=end)]


def is_running(attempt: Attempt) -> bool:
    """Whether an attempt without an end is still at it. Its own job, requeued, is not."""
    if attempt.job:
        return attempt.job != os.environ.get("SLURM_JOB_ID") and slurm.job_state(attempt.job) in slurm.LIVE
    return attempt.host == socket.gethostname() and attempt.pid != os.getpid() and lives(attempt)


def why_vanished(attempt: Attempt) -> tuple[Reason, str]:
    """Why an attempt ended without a word."""
    if attempt.job is None:
        return "unknown", "killed before it could say why"
    state = slurm.job_state(attempt.job)
    if state in slurm.STATES:
        return slurm.STATES[state]
    if attempt.nodes and (down := slurm.down_nodes(attempt.nodes)):
        return "node failure", f"node {down} went down"
    if attempt.job == os.environ.get("SLURM_JOB_ID") or state in slurm.LIVE:
        return "preempted", "Slurm took its nodes away and started it again"
    return "unknown", f"killed before it could say why; Slurm calls the job {state or 'unknown'}"


def _run(job: Job, command: Sequence[str], mine: Attempt, note: Path) -> tuple[int, Attempt] | None:
    """Run the command to its end: its exit status, and the attempt with its end. None when another start has taken its place."""
    told: list[signal.Signals] = []
    begun = slurm.job_facts(mine.job) if mine.job else {}
    # Models and data were fetched by rules of their own; a job that asked the hub would wait for a network that is not there.
    child = subprocess.Popen(command, env=os.environ | {FAILURE_NOTE: str(note), "HF_HUB_OFFLINE": "1"})

    def pass_on(number: int, frame: FrameType | None) -> None:
        told.append(signal.Signals(number))
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT):
        signal.signal(number, pass_on)
    while (status := _wait(child)) is None:
        if attempts.read(job.folder, job.stage)[-1:] not in ([], [mine]):
            _kill(child)
            return None
        if told and mine.reason is None:
            # Slurm may kill this process too before the command has ended, so what is known is put down at once.
            reason, message = _why_told(told, job, mine, begun)
            mine = mine.model_copy(update={"reason": reason, "message": message})
            _replace_last(job, mine)
    ended = {"ended": attempts.now()}
    if status == 0:
        return 0, mine.model_copy(update=ended | {"reason": None, "message": ""})
    reason, message = _why(status, told, note, job, mine, begun)
    return (status if status > 0 else 128 - status), mine.model_copy(
        update=ended | {"reason": reason, "message": message}
    )


def _wait(child: subprocess.Popen[bytes]) -> int | None:
    try:
        return child.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _replace_last(job: Job, mine: Attempt) -> None:
    attempts.write(job.folder, job.stage, [*attempts.read(job.folder, job.stage)[:-1], mine])


def _kill(child: subprocess.Popen[bytes]) -> None:
    for process in [*psutil.Process(child.pid).children(recursive=True), child]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    child.wait()


def _why(
    status: int, told: list[signal.Signals], note: Path, job: Job, mine: Attempt, begun: dict[str, str]
) -> tuple[Reason, str]:
    """Why a command failed: what its ranks noted, else the signals that came, else what its log tells."""
    notes = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(note.parent.glob(f"{note.name}.*"))]
    known = [(entry["reason"], entry["message"]) for entry in notes if entry["reason"] != "unknown"]
    if known:
        return known[0]
    if told or status in (-signal.SIGTERM, 128 + signal.SIGTERM):
        return _why_told(told, job, mine, begun)
    tail = log_tail(job.log)
    text = "\n".join(tail)
    if re.search(r"oom[-_ ]kill|out of memory", text, re.IGNORECASE):
        return "out of memory", "the kernel or Slurm killed it for taking more main memory than the job had"
    if re.search(r"node fail(ure)?\b", text, re.IGNORECASE):
        return "node failure", next(line for line in reversed(tail) if "node fail" in line.lower())
    if notes:
        return "unknown", notes[0]["message"]
    how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    return "unknown", f"{how}; the log ends with: {tail[-1] if tail else 'nothing'}"


def _why_told(told: list[signal.Signals], job: Job, mine: Attempt, begun: dict[str, str]) -> tuple[Reason, str]:
    """Why a job was told to stop; `begun` is what Slurm knew of it at its start."""
    if mine.job is None or signal.SIGINT in told:
        return "cancelled", "stopped from outside"
    now = slurm.job_facts(mine.job)
    state = now.get("JobState", "")
    if state in slurm.STATES:
        return slurm.STATES[state]
    if now.get("Restarts") != begun.get("Restarts"):
        return slurm.STATES["PREEMPTED"]
    if slurm.seconds_left(begun) <= job.notice_seconds + CLOSE_TO_LIMIT_SECONDS:
        return "time limit", f"Slurm ends it at its time limit, {begun['TimeLimit']}"
    # It ends, and not to be started again; one that still runs has been given time to end before it must make room.
    return slurm.STATES["CANCELLED" if state == "COMPLETING" else "PREEMPTED"]


def _write_failure(job: Job, mine: Attempt, same: Sequence[Attempt]) -> None:
    value = {
        "stage": job.stage,
        "reason": mine.reason,
        "message": mine.message,
        "attempt": mine.number,
        "earlier_reasons": [attempt.reason for attempt in same],
        "job": mine.job,
        "nodes": mine.nodes,
        "host": mine.host,
        "log": mine.log,
        "log_tail": log_tail(job.log),
        "started": mine.started.isoformat(),
        "ended": mine.ended.isoformat() if mine.ended else None,
        "tried_again_by_itself": mine.reason not in FINAL,
    }
    write_json(value, attempts.failure_file(job.folder, job.stage))


def log_tail(log: Path) -> list[str]:
    """The last lines of a log; of a progress bar, which overwrites its line, only what came last."""
    if not log.is_file():
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 20_000))
        text = stream.read().decode("utf-8", errors="replace")
    lines = (line.split("\r")[-1].rstrip() for line in text.replace("\r\n", "\n").rstrip("\r\n").split("\n"))
    return [line for line in lines if line][-LOG_TAIL:]
