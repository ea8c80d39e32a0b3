"""How a new driver comes by the work of a dead one's jobs, which Slurm runs on.

Snakemake knows nothing of them, and would start a second job at the same cell. So the new driver marks each of them as adopted,
and lets its own job wait for it in Slurm's queue (`--dependency`), where that takes no GPU. Snakemake removes what lies where a
job will write before it starts it; so an adopted job puts its finished outputs aside, and the job that waited puts them back.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from closerlook.cluster.attempts import Attempt

FINISHED = "finished"
MARKER = "adopted-"


def adopt(records: Path, job: str) -> None:
    """Say that a job of the new driver waits for `job`. `records` is the folder of the attempts at its stage."""
    (records / f"{MARKER}{job}").touch()


def adopted_job(records: Path) -> str | None:
    """The job that is waited for."""
    markers = sorted(records.glob(f"{MARKER}*"))
    return markers[-1].name.removeprefix(MARKER) if markers else None


def hand_over_if_adopted(records: Path, outputs: Sequence[Path], job: str | None) -> bool:
    """Put an adopted job's finished outputs aside; whether it was adopted."""
    if job is None or not (records / f"{MARKER}{job}").exists():
        return False
    finished = records / FINISHED
    shutil.rmtree(finished, ignore_errors=True)
    finished.mkdir()
    for output in outputs:
        output.rename(finished / output.name)
    return True


def take_over(records: Path, outputs: Sequence[Path], earlier: Sequence[Attempt], digest: str, job: str | None) -> bool:
    """Put back what an adopted job has finished, if it is this result; otherwise it goes. `job` is who asks.

    Whoever asks has waited, so nothing is adopted any more; but an adopted job that Slurm has requeued is still adopted.
    """
    if (adopted := adopted_job(records)) and adopted != job:
        (records / f"{MARKER}{adopted}").unlink()
    finished = records / FINISHED
    if not finished.is_dir():
        return False
    fits = bool(earlier) and earlier[-1].done and earlier[-1].command == digest
    fits = fits and all((finished / output.name).exists() for output in outputs)
    if fits:
        for output in outputs:
            (finished / output.name).rename(output)
    shutil.rmtree(finished)
    return fits
