"""What became of each attempt at a job: `attempts/<stage>/attempts.json` in the folder that the job writes to, and `failure.json`
beside it while the last attempt has failed.

A trained cell's folder holds the attempts at its training; the folder of one of its evalsets those at generation, shift and
whatever else is made there. Only the job itself writes them (`closerlook.cluster.supervise`), so nobody else's word is needed to
know where it stands: an attempt without an end is running, or was killed before it could say so.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from closerlook.core.errors import Reason
from closerlook.core.files import write_json

FINAL: frozenset[Reason] = frozenset({"bad input", "non-finite loss", "disk full", "cancelled"})
"""Not tried again by itself: it would end alike, or somebody wanted it to end."""


class Attempt(BaseModel):
    """One start of a job."""

    model_config = ConfigDict(frozen=True)

    stage: str
    """train, generate, shift, ..."""
    number: int
    """1 for the first since the job last succeeded, or since what it computes changed."""
    command: str
    """SHA-256 of what is computed: the same for every attempt at the same result."""
    job: str | None
    """Slurm's job id; None where no Slurm was."""
    nodes: str | None
    """Slurm's list of nodes, such as n[1-2]; None where no Slurm was."""
    host: str
    """Of the process that watched over the attempt, which is `pid` there."""
    pid: int
    log: str
    started: datetime
    ended: datetime | None = None
    """None while it runs, or when it was killed before it could say so."""
    reason: Reason | None = None
    """Why it failed; None while it runs and after a success."""
    message: str = ""
    failed_nodes: str | None = None
    """Nodes that Slurm should not give it again."""

    @property
    def done(self) -> bool:
        """Whether it succeeded."""
        return self.ended is not None and self.reason is None


def now() -> datetime:
    """The time, to the second, in UTC."""
    return datetime.now(UTC).replace(microsecond=0)


def folder_of(folder: Path, stage: str) -> Path:
    """Where the attempts at a stage are kept, in the folder that its job writes to."""
    return folder / "attempts" / stage


def failure_file(folder: Path, stage: str) -> Path:
    """The file that is there while the last attempt at a stage has failed."""
    return folder_of(folder, stage) / "failure.json"


def read(folder: Path, stage: str) -> list[Attempt]:
    """The attempts at a stage, oldest first; none where the file is missing or not ours to read."""
    try:
        values = json.loads((folder_of(folder, stage) / "attempts.json").read_text(encoding="utf-8"))
        return [Attempt.model_validate(value) for value in values]
    except (OSError, ValueError, TypeError, RecursionError):
        return []


def since_success(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The last attempts in a row that did not succeed: what the next one can learn from."""
    last_success = max((place for place, attempt in enumerate(attempts) if attempt.done), default=-1)
    return list(attempts[last_success + 1 :])


def count(attempts: Sequence[Attempt], reason: Reason) -> int:
    """How many of the attempts ended for that reason."""
    return sum(attempt.reason == reason for attempt in attempts)


def write(folder: Path, stage: str, attempts: Sequence[Attempt]) -> None:
    """Replace the attempts at a stage."""
    write_json([attempt.model_dump(mode="json") for attempt in attempts], folder_of(folder, stage) / "attempts.json")
