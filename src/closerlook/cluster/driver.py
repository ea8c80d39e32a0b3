"""The driver: the one Snakemake that submits a preset's jobs to Slurm. Killed, it leaves jobs that run on, for the next driver.

Snakemake's own lock outlives a kill -9 and must be removed by hand; this one is the kernel's, and goes with the process.
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

_HELD: list[IO[str]] = []
"""The open lock files of this process: closed, they would be free."""


class Driver(BaseModel):
    """Who drives a results folder, and the names of the runs whose jobs Slurm may still have; the lock file holds it."""

    host: str = "unknown"
    pid: int = 0
    runs: list[str] = []


def start_driving(results: Path, run: str, jobs: Iterable[tuple[Path, str]]) -> list[str]:
    """Become the driver of a results folder; `run` is the name that all its Slurm jobs bear, `jobs` the folder and stage of each.

    Jobs of earlier drivers that wait in the queue are cancelled, for this one submits them again; those that run are adopted.
    Returns what was done, in lines for people. Raises CloserlookError while another driver lives.
    """
    results.mkdir(parents=True, exist_ok=True)
    lock = (results / ".driver").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = _read(lock)
        raise CloserlookError(
            f"{results}: another Snakemake, process {holder.pid} on {holder.host}, submits its jobs; "
            "wait for it, or stop it first"
        ) from None
    _HELD.append(lock)
    earlier = _read(lock).runs
    states = slurm.jobs_named(earlier)
    lines = _cancel_waiting(states) + _adopt_running(states, jobs)
    # Runs that have no job left need not be asked for again.
    runs = [*(earlier if states else []), run]
    lock.truncate(0)
    lock.write(Driver(host=socket.gethostname(), pid=os.getpid(), runs=runs).model_dump_json())
    lock.flush()
    return lines


def _read(lock: IO[str]) -> Driver:
    lock.seek(0)
    try:
        return Driver.model_validate_json(lock.read())
    except ValidationError:
        return Driver()  # just made, or torn


def _cancel_waiting(states: dict[str, str]) -> list[str]:
    waiting = [job for job, state in states.items() if state == "PENDING"]
    slurm.cancel(waiting)
    return (
        [f"cancelled {len(waiting)} waiting jobs of a driver that is gone; they are submitted again"] if waiting else []
    )


def _adopt_running(states: dict[str, str], jobs: Iterable[tuple[Path, str]]) -> list[str]:
    running = {job for job, state in states.items() if state != "PENDING"}
    if not running:
        return []
    lines = []
    for folder, stage in jobs:
        last = attempts.read(folder, stage)[-1:]
        if last and last[0].job in running and not last[0].ended:
            adoption.adopt(attempts.folder_of(folder, stage), last[0].job)
            running.discard(last[0].job)
            lines.append(f"{folder}: {stage}: waiting for job {last[0].job} of a driver that is gone")
    # What is left has no attempt of its own to go by (it has only just begun, or computes no cell): it would be done twice.
    slurm.cancel(running)
    return lines
