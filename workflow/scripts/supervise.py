"""Run a job's command, and record its attempts in attempts.json and its last failure in failure.json.

Signals are forwarded to the command. Exits with the status of the command, or with 0, without running it, if a job of an earlier
driver has finished it.
"""

import argparse
import sys
from pathlib import Path

from closerlook.cluster.supervise import Job, supervise
from closerlook.core.scripts import run


def main() -> None:
    """Run the command after the --."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", required=True, help="train, generate, shift, ...")
    parser.add_argument("--folder", type=Path, required=True, help="folder that the job writes to")
    parser.add_argument("--outputs", type=Path, nargs="+", required=True, help="files that it writes there")
    parser.add_argument("--inputs", type=Path, nargs="+", required=True, help="files that it reads")
    parser.add_argument("--log", type=Path, required=True, help="file with its messages")
    parser.add_argument("--identity", default="", help="everything else that decides its result")
    parser.add_argument("--tries", type=int, default=1, help="number of this try within the run of Snakemake, from 1")
    parser.add_argument(
        "--notice", type=int, default=300, help="seconds before the time limit at which Slurm sends its warning"
    )
    parser.add_argument(
        "--gpus", type=int, metavar="N", help="GPUs that it needs; waits for them and hides all others from the command"
    )
    parser.add_argument("command", nargs="+", help="the command, after a --")
    a = parser.parse_args()
    job = Job(a.stage, a.folder, tuple(a.outputs), tuple(a.inputs), a.log, a.identity, a.tries, a.notice, a.gpus)
    sys.exit(supervise(job, a.command))


if __name__ == "__main__":
    run(main)
