"""Snakemake looks for jobs at most once per period, however many jobs have ended."""

import time
from threading import Semaphore, Timer

import pytest

from closerlook.cluster.scheduler import limit_timers


class Scheduler:
    """The loop of JobScheduler.schedule: whatever wakes it sets a timer that wakes it again."""

    def __init__(self) -> None:
        self._open_jobs = Semaphore(0)

    def _schedule_reevalutation(self, delay: float) -> None:
        Timer(delay, self._open_jobs.release).start()

    def looks(self, finished_jobs: int, seconds: float, delay: float = 0.05) -> int:
        """How often it looks for jobs, of which so many end at once."""
        for _ in range(finished_jobs):
            self._open_jobs.release()
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            if self._open_jobs.acquire(timeout=0.2):
                count += 1
                self._schedule_reevalutation(delay)
        return count


@pytest.mark.parametrize("limited", [False, True])
def test_finished_jobs_do_not_add_looks_for_ever(limited: bool) -> None:
    scheduler = Scheduler()
    if limited:
        limit_timers(scheduler)
    looks = scheduler.looks(finished_jobs=100, seconds=0.5) - 100
    assert (0 < looks <= 10) if limited else looks > 100, "at most one per period; without the remedy, a hundred"
