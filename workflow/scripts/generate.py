"""Generate a model's responses to an evalset: greedy unless the configuration says otherwise.

In float32 on a CPU the tokens are the same in any batch. In bfloat16 or on a GPU, rounding depends on the batch and decides
between tokens that are almost equally likely. Killed and started again it resumes. Under torchrun or srun the ranks share the
prompts.
"""

import argparse
from pathlib import Path
from typing import get_args

from closerlook.config.catalog import EngineName
from closerlook.config.cell import read_cell_config
from closerlook.config.settings import GenerateSettings
from closerlook.core.ranks import join_srun
from closerlook.core.scripts import add_decoding, add_placement, read_settings, run


def main() -> None:
    """Model, configuration and evalset in, responses.parquet out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="FILE",
        help="the cell's config.json: its template and generation settings are used",
    )
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="base model, with its tokenizer")
    parser.add_argument(
        "--tuned", type=Path, metavar="DIR", help="a cell's model/: full weights or an adapter on --model"
    )
    parser.add_argument("--evalset", type=Path, required=True, metavar="FILE", help="parquet with id and instruction")
    parser.add_argument(
        "--samples",
        type=int,
        metavar="N",
        help="sample N responses to each instruction, with the ids 0/id, 1/id, ... (default: one response, with its id)",
    )
    parser.add_argument(
        "--temperature", metavar="T", help="instead of the configuration's; --samples needs one above 0"
    )
    parser.add_argument("--seed", metavar="N", help="of the sampling, instead of the configuration's")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="responses.parquet to write")
    add_decoding(parser, get_args(EngineName))
    add_placement(parser)
    arguments = parser.parse_args()
    if arguments.samples is not None and arguments.samples < 1:
        parser.error(f"--samples: found {arguments.samples}, expected at least 1")
    config = read_cell_config(arguments.config)
    settings = read_settings(arguments, GenerateSettings, config.generate)

    join_srun()
    from closerlook.generate.responses import generate

    inputs = arguments.model, arguments.tuned, arguments.evalset, config.template.text
    how = arguments.out, arguments.batch_size, arguments.precision, arguments.gpus
    generate(*inputs, settings, *how, arguments.samples, arguments.engine)


if __name__ == "__main__":
    run(main)
