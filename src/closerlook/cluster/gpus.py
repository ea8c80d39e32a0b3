"""The GPUs of this machine, and which job has which. Without Slurm nobody else assigns them.

Each GPU has a lock file, which the system unlocks when all processes that hold it have ended, however they ended.
"""

import fcntl
import itertools
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import IO

from closerlook.core.errors import CloserlookError

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable that names the GPUs that a process sees."""
POLL_SECONDS = 0.5


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes. Does not import torch."""
    if (names := os.environ.get(VISIBLE)) is not None:
        # Like CUDA, which ignores an invalid name and all after it.
        valid = takewhile(lambda name: name not in ("", "-1"), map(str.strip, names.split(",")))
        return list(dict.fromkeys(valid))
    return [str(index) for index in range(_count_gpus())]


def _count_gpus() -> int:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    return sum(line.startswith("GPU ") for line in listed.splitlines())


@contextmanager
def lease_gpus(count: int) -> Iterator[dict[str, int]]:
    """Wait until `count` visible GPUs are free, and hold them; yields the descriptor of each one's lock, by its name.

    A GPU stays locked while any process has its descriptor open. A program that inherits it keeps its GPU even if this process
    is killed. Raises CloserlookError if there are fewer GPUs than `count`.
    """
    gpus = visible_gpus()
    if count > len(gpus):
        raise CloserlookError(f"found {len(gpus)} GPUs on this machine, expected {count} or more, as the job asks for")
    if count == 0:
        yield {}
        return
    folder = _lock_folder()
    with ExitStack() as files:
        names = {gpu: f"{gpu.replace('/', '-')}.lock" for gpu in gpus}  # a part of a GPU can be called MIG-GPU-.../1/0
        locks = {gpu: files.enter_context(_lock_file(folder / name)).fileno() for gpu, name in names.items()}
        # One job at a time collects: two with a part each would wait for each other.
        with _lock_file(folder / "queue.lock") as queue:
            fcntl.flock(queue, fcntl.LOCK_EX)
            held = _collect(locks, count)
        yield held


def _collect(locks: dict[str, int], count: int) -> dict[str, int]:
    """Wait for `count` of the locks, and hold them."""
    held: dict[str, int] = {}
    for attempt in itertools.count():
        for gpu, lock in locks.items():
            if len(held) < count and gpu not in held and _try_lock(lock):
                held[gpu] = lock
        if len(held) == count:
            break
        if attempt == 0:
            print(f"waits until {count} of the GPUs {', '.join(locks)} are free", file=sys.stderr, flush=True)
        time.sleep(POLL_SECONDS)
    return held


def _lock_folder() -> Path:
    """This user's folder of locks. In a Slurm job it is the job's own, since Slurm calls the first GPU of every job 0."""
    name = "-".join(filter(None, ["closerlook-gpus", str(os.getuid()), os.environ.get("SLURM_JOB_ID")]))
    folder = Path(tempfile.gettempdir()) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise CloserlookError(f"{folder}: expected a folder of this user that nobody else can write to; remove it")
    return folder


def _lock_file(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "rb+")


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
