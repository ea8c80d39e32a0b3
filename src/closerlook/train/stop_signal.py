"""Stop signals from Slurm: USR2 some minutes before the time limit, TERM when a job is preempted or cancelled."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGUSR2, signal.SIGTERM)


class StopSignal:
    """Whether a stop signal has come."""

    requested = False


@contextmanager
def stop_signals() -> Iterator[StopSignal]:
    """Record stop signals while the block runs, instead of dying at once."""
    stop = StopSignal()

    def record(number: int, frame: FrameType | None) -> None:
        stop.requested = True

    previous = {number: signal.signal(number, record) for number in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
