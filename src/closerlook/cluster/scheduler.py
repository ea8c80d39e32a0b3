"""A remedy for Snakemake's scheduler (9.27), which slows down with every job that has ended.

Each time it looks for jobs to start, it sets a timer that makes it look again (because a rate limits how many jobs start, 100 per
second unless a profile says otherwise). What a timer wakes sets the next one, so each finished job adds one more look per period,
for ever: after 400 jobs, Snakemake took 40% of a core.
"""

from threading import Lock, Timer
from typing import Any


def limit_timers(scheduler: Any) -> None:
    """Let at most one timer of a snakemake.scheduling.job_scheduler.JobScheduler wait at a time."""
    waiting = Lock()

    def set_one_timer(delay: float) -> None:
        if waiting.acquire(blocking=False):
            Timer(delay, end).start()

    def end() -> None:
        waiting.release()
        scheduler._open_jobs.release()

    scheduler._schedule_reevalutation = set_one_timer
