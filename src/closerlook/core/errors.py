"""The exceptions that are meant for the person at the keyboard, and why a job failed."""

import errno
from typing import Literal, get_args

Reason = Literal[
    "out of memory",
    "time limit",
    "preempted",
    "node failure",
    "non-finite loss",
    "bad input",
    "disk full",
    "cancelled",
    "unknown",
]
REASONS: tuple[Reason, ...] = get_args(Reason)


class CloserlookError(Exception):
    """Something the user can mend. Its text says what was found, what was expected and what to do; no traceback is shown."""

    reason: Reason = "bad input"


class NonFiniteLoss(CloserlookError):
    """Training diverged."""

    reason: Reason = "non-finite loss"


class Stopped(CloserlookError):
    """Work was told to stop by a signal, and has kept what it had; who sent the signal knows why."""

    reason: Reason = "unknown"


def reason_of(error: BaseException) -> Reason:
    """Why work that ended with this exception failed."""
    if isinstance(error, CloserlookError):
        return error.reason
    text = str(error).lower()
    # torch raises OutOfMemoryError on a GPU and a bare RuntimeError on a CPU; libraries wrap a full disk in errors of their own.
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return "out of memory"
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "no space left on device" in text:
        return "disk full"
    return "unknown"
