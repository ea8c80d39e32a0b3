"""The driver: the one Snakemake process that submits a preset's jobs to Slurm. If it is killed, its jobs keep running.

The lock is the kernel's, so that it ends with the process. Snakemake's own lock survives a kill -9 and must be removed by hand.
"""

import fcntl
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ValidationError

from closerlook.cluster import adoption, attempts, slurm
from closerlook.core.errors import CloserlookError

_LOCKS: list[IO[str]] = []
"""The lock files of this process: closing one would release it."""


class Driver(BaseModel):
    """The content of the lock file: the driver, and the names of all runs that may still have Slurm jobs."""

    host: str = "unknown"
    pid: int = 0
    runs: list[str] = []


def start_driving(results: Path, run: str, jobs: Iterable[tuple[Path, str]]) -> list[str]:
    """Become the driver of a results folder. Returns messages for the user.

    Waiting jobs of earlier drivers are cancelled, since this driver submits them again; running ones are adopted
    (closerlook.cluster.adoption). run: the name that all Slurm jobs of this driver have. jobs: folder and stage of each job.
    Raises CloserlookError while another driver is alive.
    """
    results.mkdir(parents=True, exist_ok=True)
    lock = (results / ".driver").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = _read(lock)
        raise CloserlookError(
            f"{results}: another Snakemake, process {holder.pid} on {holder.host}, submits its jobs; "
            "wait until it ends, or stop it"
        ) from None
    _LOCKS.append(lock)
    runs = _read(lock).runs
    states = slurm.live_jobs(runs)
    waiting = [job for job, state in states.items() if state == "PENDING"]
    slurm.cancel(waiting)
    messages = (
        [f"cancelled {len(waiting)} waiting jobs of an earlier driver; they are submitted again"] if waiting else []
    )
    messages += _adopt(states.keys() - set(waiting), jobs)
    # A run without live jobs need not be remembered.
    driver = Driver(host=socket.gethostname(), pid=os.getpid(), runs=[*(runs if states else []), run])
    lock.truncate(0)
    lock.write(driver.model_dump_json())
    lock.flush()
    return messages


def _read(lock: IO[str]) -> Driver:
    lock.seek(0)
    try:
        return Driver.model_validate_json(lock.read())
    except ValidationError:
        return Driver()  # empty, or truncated


def _adopt(running: set[str], jobs: Iterable[tuple[Path, str]]) -> list[str]:
    messages = []
    for folder, stage in jobs if running else ():
        last = attempts.read(folder, stage)[-1:]
        if last and last[0].job in running and not last[0].ended:
            adoption.adopt(attempts.records_folder(folder, stage), last[0].job)
            running.discard(last[0].job)
            messages.append(f"{folder}: {stage}: waiting for job {last[0].job} of an earlier driver")
    # The others have recorded no attempt: they have only just started, or belong to no cell. They would run twice.
    slurm.cancel(running)
    return messages
