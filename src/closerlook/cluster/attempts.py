"""Attempts at a job: `attempts/<stage>/attempts.json` in the folder that the job writes to, with `failure.json` next to it while
the last attempt is a failure.

The attempts at a training are in the cell's folder; those at the stages of an evalset are in the evalset's folder. Only the job's
own supervisor writes them (closerlook.cluster.supervise). An attempt without an end is running, or was killed before it could
record its end.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict

from closerlook.core.errors import Reason
from closerlook.core.files import write_json

FINAL: frozenset[Reason] = frozenset({"bad input", "non-finite loss", "disk full", "cancelled"})
"""Reasons after which a job is not retried automatically: it would fail again, or a person stopped it."""
CLOCK_ERROR = 60.0
"""Seconds by which a process may seem younger than the attempt that it belongs to."""


class Attempt(BaseModel):
    """One start of a job."""

    model_config = ConfigDict(frozen=True)

    stage: str
    """train, generate, shift, ..."""
    number: int
    """1 for the first since the job last succeeded, or since its settings or inputs changed."""
    command: str
    """SHA-256 of the settings and inputs: equal for all attempts at the same result."""
    job: str | None
    """Slurm's job id; None without Slurm."""
    nodes: str | None
    """Slurm's list of nodes, such as n[1-2]; None without Slurm."""
    host: str
    """Host of the supervisor."""
    pid: int
    """Process id of the supervisor."""
    log: str
    started: datetime
    ended: datetime | None = None
    """None while it runs, or if it was killed before it could record its end."""
    reason: Reason | None = None
    """Why it failed; None while it runs and after a success."""
    message: str = ""
    failed_nodes: str | None = None
    """Nodes that retries should avoid."""

    @property
    def done(self) -> bool:
        """Whether it succeeded."""
        return self.ended is not None and self.reason is None


def now() -> datetime:
    """The time in UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def records_folder(folder: Path, stage: str) -> Path:
    """The folder with the records of a stage whose job writes to `folder`."""
    return folder / "attempts" / stage


def failure_file(folder: Path, stage: str) -> Path:
    """The file that exists while the last attempt at a stage is a failure."""
    return records_folder(folder, stage) / "failure.json"


def read(folder: Path, stage: str) -> list[Attempt]:
    """Return the attempts at a stage, oldest first; none if the file is missing or malformed."""
    try:
        values = json.loads((records_folder(folder, stage) / "attempts.json").read_text(encoding="utf-8"))
        return [Attempt.model_validate(value) for value in values]
    except (OSError, ValueError, TypeError, RecursionError):
        return []


def write(folder: Path, stage: str, attempts: Sequence[Attempt]) -> None:
    """Replace the attempts at a stage."""
    write_json(
        [attempt.model_dump(mode="json") for attempt in attempts], records_folder(folder, stage) / "attempts.json"
    )


def read_failure(folder: Path, stage: str) -> dict[str, Any] | None:
    """Return the failure.json of a stage; None if there is none, {} if it is malformed."""
    try:
        value = json.loads(failure_file(folder, stage).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {}


def since_success(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Return the attempts after the last success."""
    last_success = max((index for index, attempt in enumerate(attempts) if attempt.done), default=-1)
    return list(attempts[last_success + 1 :])


def count(attempts: Sequence[Attempt], reason: Reason) -> int:
    """Count the attempts that failed for a reason."""
    return sum(attempt.reason == reason for attempt in attempts)


def is_alive(attempt: Attempt) -> bool:
    """Whether the attempt's process exists on this host. A later process with the same id does not count."""
    try:
        process = psutil.Process(attempt.pid)
        same = process.create_time() < attempt.started.timestamp() + CLOCK_ERROR
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (OverflowError, ValueError, psutil.Error):
        return False
