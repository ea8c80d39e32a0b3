"""Run a job's command and keep account of it: attempts.json, and failure.json with the reason while it has failed.

Passes on the signals it is sent. Exits with the command's own status; with 0, without running it, where a job that a new driver
waited for has finished the same work.
"""

import argparse
import sys
from pathlib import Path

from closerlook.cluster.supervise import Job, supervise
from closerlook.core.scripts import run


def main() -> None:
    """Read the arguments, run the command behind the --."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", required=True, help="train, generate, shift, ...")
    parser.add_argument("--folder", type=Path, required=True, help="folder that the job writes to")
    parser.add_argument("--outputs", type=Path, nargs="+", required=True, help="what it writes there")
    parser.add_argument("--inputs", type=Path, nargs="+", required=True, help="what it reads")
    parser.add_argument("--log", type=Path, required=True, help="file that its messages go to")
    parser.add_argument("--identity", default="", help="all else that decides its result")
    parser.add_argument("--tries", type=int, default=1, help="which try of Snakemake's this is, 1 for the first")
    parser.add_argument(
        "--notice", type=int, default=300, help="seconds before a time limit at which Slurm gives notice"
    )
    parser.add_argument("command", nargs="+", help="what to run, behind a --")
    a = parser.parse_args()
    job = Job(a.stage, a.folder, tuple(a.outputs), tuple(a.inputs), a.log, a.identity, a.tries, a.notice)
    sys.exit(supervise(job, a.command))


if __name__ == "__main__":
    run(main)
