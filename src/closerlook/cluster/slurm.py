"""States of Slurm's jobs and nodes, from its own commands. If Slurm is missing or does not answer, nothing is known."""

import re
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from closerlook.core import shell
from closerlook.core.errors import CloserlookError, Reason

LIVE = frozenset(
    {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "RESIZING", "SIGNALING", "STOPPED"}
)
"""States of a job that runs or will run."""

FAILED: dict[str, tuple[Reason, str]] = {
    "NODE_FAIL": ("node failure", "the node failed"),
    "BOOT_FAIL": ("node failure", "the node did not boot"),
    "TIMEOUT": ("time limit", "Slurm stopped it at its time limit"),
    "OUT_OF_MEMORY": ("out of memory", "Slurm killed it for using more main memory than the job had"),
    "CANCELLED": ("cancelled", "the job was cancelled"),
    "PREEMPTED": ("preempted", "a job of higher priority took the nodes"),
}
"""States of a job that failed, with reason and message."""

SACCT_JOBS = 1000
"""Jobs per call of sacct."""


def _run(*command: str, timeout: float = 30) -> str | None:
    """Return the output of one of Slurm's commands; None if it is missing, fails or does not answer."""
    answer = shell.run_command(*command, timeout=timeout)
    return answer.output if answer.code == 0 else None


def show_job(job: str) -> dict[str, str]:
    """Return the fields of `scontrol show job` (JobState, Reason, Restarts, ...); none for a job that Slurm has forgotten."""
    words = (_run("scontrol", "show", "job", "--oneliner", job) or "").split()
    return dict(word.split("=", 1) for word in words if "=" in word)


def seconds_left(fields: dict[str, str]) -> float:
    """Seconds until the time limit of a job, from its fields while it ran; infinite without a limit."""
    # EndTime is no help: for a job that is being cancelled it is the present.
    limit = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", fields.get("TimeLimit", ""))
    if not limit or "StartTime" not in fields:
        return float("inf")
    days, hours, minutes, seconds = (int(part or 0) for part in limit.groups())
    start = datetime.fromisoformat(fields["StartTime"]).timestamp()
    return start + ((days * 24 + hours) * 60 + minutes) * 60 + seconds - time.time()


def job_states(jobs: Collection[str]) -> dict[str, str] | None:
    """Return the known states of jobs by id, from the controller or else from the accounting; None if Slurm does not answer."""
    output = _run("squeue", "--noheader", "--states=all", "--format=%A %T") if jobs else ""
    if output is None:
        return None
    states = dict(pair for line in output.splitlines() if len(pair := line.split()) == 2)
    forgotten = sorted(set(jobs) - states.keys())
    for first in range(0, len(forgotten), SACCT_JOBS):
        ids = ",".join(forgotten[first : first + SACCT_JOBS])
        output = _run("sacct", "-X", "-n", "-P", "-o", "JobIDRaw,State", "-j", ids) or ""
        pairs = (line.partition("|") for line in output.splitlines())
        states |= {job: state.split()[0] for job, _, state in pairs if state.strip()}  # CANCELLED by 1000
    return states


def live_jobs(names: Sequence[str]) -> dict[str, str]:
    """Return the states of this user's live jobs with one of the names, by job id.

    Raises CloserlookError if Slurm does not answer.
    """
    text = _run("squeue", "--me", "--noheader", f"--name={','.join(names)}", "--format=%i %T") if names else ""
    if text is None:
        raise CloserlookError(
            "squeue: Slurm does not answer, so jobs of an earlier driver may still run; try again later"
        )
    return dict(pair for line in text.splitlines() if len(pair := line.split()) == 2)


def down_nodes(nodes: str) -> str:
    """Return which of the nodes (n[1-2]) are down, failed or not responding, separated by commas."""
    lines = (_run("sinfo", "--noheader", "--Node", "--nodes", nodes, "--format=%N %T") or "").splitlines()
    states = dict(line.split() for line in lines)
    return ",".join(
        node for node, state in states.items() if state.startswith(("down", "fail", "error")) or "*" in state
    )


def cancel(jobs: Iterable[str]) -> None:
    """Cancel jobs."""
    if ids := list(jobs):
        _run("scancel", *ids)
