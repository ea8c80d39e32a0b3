"""Train one cell: base model and instances in; tuned model, training log and manifest out.

Runs as one process, or as several under torchrun or srun.
Told to stop (USR2, TERM) all ranks write a checkpoint of the same step; killed and started again, it goes on from the last
complete one.
"""

import argparse
from pathlib import Path

from closerlook.config.settings import EngineSettings, TrainSettings
from closerlook.core.ranks import join_srun
from closerlook.core.scripts import add_settings, read_settings, run


def main() -> None:
    """Read the arguments, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--data", type=Path, required=True, help="parquet file of instances")
    parser.add_argument("--template", type=Path, required=True, help="prompt template, a text file with {instruction}")
    parser.add_argument("--out", type=Path, required=True, help="cell folder: model/, train_log.jsonl, manifest.json")
    parser.add_argument("--scratch", type=Path, help="folder for checkpoints, which all ranks see (default: in --out)")
    add_settings(parser, TrainSettings)
    add_settings(parser, EngineSettings)
    arguments = parser.parse_args()
    settings, engine = read_settings(arguments, TrainSettings), read_settings(arguments, EngineSettings)

    join_srun()
    from closerlook.train.run import train
    from closerlook.train.setup import Job

    paths = arguments.model, arguments.data, arguments.template, arguments.out
    train(Job(*paths, settings, engine, arguments.scratch))


if __name__ == "__main__":
    run(main)
