"""Where a job stands by its own word (attempts.json, failure.json), and by Slurm's or the system's where it could not say."""

import json
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from closerlook.cluster import slurm
from closerlook.cluster.attempts import Attempt, failure_file

State = Literal["done", "running", "failed", "waiting", "stale", "new"]
QUEUED = frozenset({"PENDING", "CONFIGURING", "REQUEUED"})
AT_ONCE = 1000
"""Jobs that sacct is asked about in one command."""
CLOCK_ERROR = 60.0
"""Seconds by which a process may seem younger than the attempt that it started."""


@dataclass(frozen=True)
class Standing:
    """A state; of a failure its reason; and what more is to be said, on one line."""

    state: State
    reason: str | None = None
    message: str = ""

    @property
    def why(self) -> str:
        """Reason and message together."""
        return ": ".join(filter(None, (self.reason, self.message)))


class Jobs:
    """What Slurm knows of the jobs of some attempts: asked once for all, and only if one of them did not succeed."""

    def __init__(self, last: Iterable[Attempt]) -> None:
        unsure = [attempt for attempt in last if attempt.job and not attempt.done]
        answer = slurm.ask("squeue", "--noheader", "--states=all", "--format=%A %T") if unsure else None
        self.answers = answer is not None
        """Whether Slurm answers here."""
        pairs = (line.split() for line in (answer or "").splitlines())
        self._states = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
        silent = {attempt.job for attempt in unsure if attempt.ended is None and attempt.job}
        forgotten = sorted(silent - self._states.keys()) if self.answers else []
        for first in range(0, len(forgotten), AT_ONCE):
            self._states |= slurm.accounted(forgotten[first : first + AT_ONCE])

    def state(self, job: str) -> str | None:
        """Slurm's state of a job, such as RUNNING or NODE_FAIL; None where it is not known (any more)."""
        return self._states.get(job)


def judge(attempts: Sequence[Attempt], failure: Mapping[str, Any] | None, jobs: Jobs) -> Standing | None:
    """Running or failed; None where nothing was attempted, or the last attempt succeeded."""
    if not attempts:
        if failure is None:
            return None
        return Standing("failed", one_line(failure.get("reason")) or "unknown", one_line(failure.get("message")))
    last = attempts[-1]
    if last.done:
        return None
    state = jobs.state(last.job) if last.job else None
    if last.ended is None:
        return _without_end(last, state, jobs)
    if state in QUEUED:
        return Standing("running", None, f"waits in Slurm's queue again after: {last.reason}")
    return Standing("failed", last.reason, one_line(last.message))


def _without_end(last: Attempt, state: str | None, jobs: Jobs) -> Standing:
    """Running, or killed before it could say so. Where nobody can be asked it counts as running: none should start a second."""
    if last.job and not jobs.answers:
        return Standing("running", None, f"since Slurm does not answer, it may have ended: job {last.job}")
    if last.job is None and last.host != socket.gethostname():
        return Standing(
            "running", None, f"runs on {one_line(last.host)}, which cannot be asked from here: it may have ended"
        )
    if state in QUEUED:
        return Standing("running", None, f"waits in Slurm's queue: {state}")
    if state in slurm.LIVE or (last.job is None and lives(last)):
        return Standing("running", None, f"told to stop: {last.reason}" if last.reason else "")
    if state in slurm.STATES:
        return Standing("failed", *slurm.STATES[state])
    if last.reason:
        return Standing("failed", last.reason, one_line(last.message))
    told = f"; Slurm calls its job {state}" if state else ""
    return Standing("failed", "unknown", f"killed before it could say why{told}")


def lives(attempt: Attempt) -> bool:
    """Whether the attempt's process is still there: one of its number, and not a later one."""
    try:
        process = psutil.Process(attempt.pid)
        same = process.create_time() < attempt.started.timestamp() + CLOCK_ERROR
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (OverflowError, ValueError, psutil.Error):
        return False


def read_failure(folder: Path, stage: str) -> dict[str, Any] | None:
    """The failure.json of a stage; None where there is none, {} for one that cannot be read."""
    try:
        value = json.loads(failure_file(folder, stage).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {}


def one_line(value: Any) -> str:
    """Any value as text that a terminal shows on one line; empty for None."""
    text = "" if value is None else str(value)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
