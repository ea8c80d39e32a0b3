"""Train one cell: base model and instances in; tuned model, training log and manifest out.

Runs as one process, or as several under torchrun or srun. On USR2 or TERM all ranks write a checkpoint of the same step and exit;
the next start resumes from the last complete one.
"""

import argparse
from pathlib import Path

from closerlook.config.cell import read_cell_config
from closerlook.config.settings import EngineSettings
from closerlook.core.ranks import join_srun
from closerlook.core.scripts import add_settings, read_settings, run


def main() -> None:
    """Read the arguments, train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="FILE",
        help="the cell's config.json: template and training settings; all that decides the result",
    )
    parser.add_argument("--digest", metavar="HEX", help="refuse --config if it is not the one with this digest")
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="base model, with its tokenizer")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="parquet file of instances")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the cell: model/, train_log.jsonl, manifest.json"
    )
    parser.add_argument(
        "--scratch", type=Path, metavar="DIR", help="checkpoints, visible to all ranks (default: in --out)"
    )
    add_settings(parser, EngineSettings)
    arguments = parser.parse_args()
    config, engine = read_cell_config(arguments.config, arguments.digest), read_settings(arguments, EngineSettings)

    join_srun()
    from closerlook.train.run import train
    from closerlook.train.setup import Job

    train(Job(config, arguments.model, arguments.data, arguments.out, engine, arguments.scratch))


if __name__ == "__main__":
    run(main)
