"""Slurm's notice that a job will end: USR2 some minutes before its time limit, TERM when it is preempted or cancelled."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NOTICES = (signal.SIGUSR2, signal.SIGTERM)


class Notice:
    """Whether a notice has come."""

    given = False


@contextmanager
def notices() -> Iterator[Notice]:
    """Take notice instead of dying at once, while the block runs."""
    notice = Notice()

    def take(number: int, frame: FrameType | None) -> None:
        notice.given = True

    before = {number: signal.signal(number, take) for number in NOTICES}
    try:
        yield notice
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
