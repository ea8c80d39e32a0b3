"""What Slurm says of jobs and nodes, asked with its own commands. Where Slurm is not, or does not answer, nothing is known."""

import re
import time
from collections.abc import Iterable, Sequence
from datetime import datetime

from closerlook.core import shell
from closerlook.core.errors import CloserlookError, Reason

LIVE = frozenset(
    {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "RESIZING", "SIGNALING", "STOPPED"}
)
"""States of a job that will still run, or runs."""

STATES: dict[str, tuple[Reason, str]] = {
    "NODE_FAIL": ("node failure", "Slurm lost the node"),
    "BOOT_FAIL": ("node failure", "the node did not boot"),
    "TIMEOUT": ("time limit", "Slurm ended it at its time limit"),
    "OUT_OF_MEMORY": ("out of memory", "Slurm ended it for taking more main memory than the job had"),
    "CANCELLED": ("cancelled", "somebody cancelled the job"),
    "PREEMPTED": ("preempted", "a job of higher priority took its place"),
}
"""States of a job that has failed, with the reason and what to say of it."""


def ask(*command: str, timeout: float = 30) -> str | None:
    """What a Slurm command prints; None where it is not there, fails or keeps silent."""
    answer = shell.ask(*command, timeout=timeout)
    return answer.output if answer.code == 0 else None


def job_facts(job: str) -> dict[str, str]:
    """What `scontrol show job` knows (JobState, Reason, Restarts, EndTime, ...); empty for a job that Slurm has forgotten."""
    words = (ask("scontrol", "show", "job", "--oneliner", job) or "").split()
    return dict(word.split("=", 1) for word in words if "=" in word)


def seconds_left(facts: dict[str, str]) -> float:
    """Until a job's time limit, by what `job_facts` knew of it while it ran; infinite where it has none."""
    # Not EndTime: of a job that is being cancelled that is now.
    limit = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", facts.get("TimeLimit", ""))
    if not limit or "StartTime" not in facts:
        return float("inf")
    days, hours, minutes, seconds = (int(part or 0) for part in limit.groups())
    start = datetime.fromisoformat(facts["StartTime"]).timestamp()
    return start + ((days * 24 + hours) * 60 + minutes) * 60 + seconds - time.time()


def job_state(job: str) -> str | None:
    """The state of a job, asked of the controller and then of the accounting; None where neither knows it."""
    return job_facts(job).get("JobState") or accounted([job]).get(job)


def accounted(jobs: Sequence[str]) -> dict[str, str]:
    """States of jobs by Slurm's accounting; nothing where there is none."""
    text = ask("sacct", "-X", "-n", "-P", "-o", "JobIDRaw,State", "-j", ",".join(jobs)) or ""
    pairs = (line.partition("|") for line in text.splitlines())
    return {job: state.split()[0] for job, _, state in pairs if state.strip()}  # CANCELLED by 1000


def jobs_named(names: Sequence[str]) -> dict[str, str]:
    """State of each of my live jobs with one of the names, by job id. Raises CloserlookError where Slurm does not answer."""
    text = ask("squeue", "--me", "--noheader", f"--name={','.join(names)}", "--format=%i %T") if names else ""
    if text is None:
        raise CloserlookError(
            "squeue: Slurm does not answer, so it is not known whether jobs of an earlier start still run"
        )
    return dict(pair for line in text.splitlines() if len(pair := line.split()) == 2)


def down_nodes(nodes: str) -> str:
    """Those of the nodes (n[1-2]) that are down, failed or do not answer, with commas between; empty for none."""
    lines = (ask("sinfo", "--noheader", "--Node", "--nodes", nodes, "--format=%N %T") or "").splitlines()
    states = dict(line.split() for line in lines)
    return ",".join(
        node for node, state in states.items() if state.startswith(("down", "fail", "error")) or "*" in state
    )


def cancel(jobs: Iterable[str]) -> None:
    """Cancel jobs."""
    if named := list(jobs):
        ask("scancel", *named)
