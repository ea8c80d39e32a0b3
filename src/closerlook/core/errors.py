"""Exceptions whose text is meant for the user, and the reasons for which a job can fail."""

import errno
from typing import Literal

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


OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "status_alloc_failed")
"""What torch, the C library, and cuBLAS and cuDNN say."""


class CloserlookError(Exception):
    """An error that the user can fix. Its text says what was found, what was expected and what to do; no traceback is shown."""

    reason: Reason = "bad input"


class NonFiniteLoss(CloserlookError):
    """Training diverged."""

    reason: Reason = "non-finite loss"


class Stopped(CloserlookError):
    """Work stopped on a signal and saved what it had. The sender of the signal knows the reason."""

    reason: Reason = "unknown"


def failure_reason(error: BaseException) -> Reason:
    """The reason of a failure that raised this exception."""
    if isinstance(error, CloserlookError):
        return error.reason
    text = str(error).lower()
    # torch raises OutOfMemoryError on a GPU and a bare RuntimeError on a CPU; libraries wrap a full disk in errors of their own.
    if isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY):
        return "out of memory"
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "no space left on device" in text:
        return "disk full"
    return "unknown"
