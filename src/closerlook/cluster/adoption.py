"""Adoption: a restarted driver takes over the Slurm jobs that still run after an earlier driver died.

Snakemake does not know these jobs and would start each of them again. The new driver therefore marks them as adopted, and its own
job for the same stage waits for the adopted one in Slurm's queue (`--dependency`), where it takes no GPU. Snakemake deletes the
outputs of a job before the job starts; so an adopted job moves its outputs to a folder `finished`, and the job that waited moves
them back. `records` is the folder of a stage's attempts.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from closerlook.cluster.attempts import Attempt

FINISHED = "finished"
MARKER = "adopted-"


def adopt(records: Path, job: str) -> None:
    """Mark a job as adopted."""
    (records / f"{MARKER}{job}").touch()


def adopted_job(records: Path) -> str | None:
    """Return the id of the adopted job, or None."""
    markers = sorted(records.glob(f"{MARKER}*"))
    return markers[-1].name.removeprefix(MARKER) if markers else None


def hand_over(records: Path, outputs: Sequence[Path], job: str | None) -> bool:
    """Move the outputs of a finished job aside if it was adopted. Returns whether it was."""
    if job is None or not (records / f"{MARKER}{job}").exists():
        return False
    finished = records / FINISHED
    shutil.rmtree(finished, ignore_errors=True)
    finished.mkdir()
    for output in outputs:
        output.rename(finished / output.name)
    return True


def take_over(records: Path, outputs: Sequence[Path], earlier: Sequence[Attempt], digest: str, job: str | None) -> bool:
    """Move the outputs of the adopted job back, or delete them if they are not the result that `digest` identifies.

    Returns whether the outputs are in place. job: the one that waited; an adopted job that Slurm requeued stays adopted.
    """
    if (adopted := adopted_job(records)) and adopted != job:
        (records / f"{MARKER}{adopted}").unlink()
    finished = records / FINISHED
    same = bool(earlier) and earlier[-1].done and earlier[-1].command == digest
    complete = same and all((finished / output.name).exists() for output in outputs)
    if complete:
        for output in outputs:
            (finished / output.name).rename(output)
    shutil.rmtree(finished, ignore_errors=True)
    return complete
