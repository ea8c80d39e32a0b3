"""Let a model answer an evalset: greedy unless told otherwise, batched, the same tokens in any batch.

Killed and started again it goes on where it stopped. Under torchrun or srun the ranks share the prompts.
"""

import argparse
from functools import partial
from pathlib import Path

from closerlook.config.settings import GenerateSettings
from closerlook.core.ranks import join_srun
from closerlook.core.scripts import add_placement, add_settings, read_settings, run


def main() -> None:
    """Model, evalset and template in, responses.parquet out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="base model, with its tokenizer")
    parser.add_argument(
        "--tuned", type=Path, metavar="DIR", help="a cell's model/: full weights or an adapter on --model"
    )
    parser.add_argument("--evalset", type=Path, required=True, metavar="FILE", help="parquet with id and instruction")
    parser.add_argument(
        "--template", type=Path, required=True, metavar="FILE", help="text that holds {instruction} once"
    )
    parser.add_argument(
        "--samples",
        type=int,
        metavar="N",
        help="sample so many answers to each instruction, with the ids 0/id, 1/id, ...; needs a temperature (default: one)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="responses.parquet to write")
    parser.add_argument(
        "--batch-size", type=int, default=64, metavar="N", help="responses at a time, 1 to 64 (default: 64)"
    )
    add_placement(parser)
    add_settings(parser, GenerateSettings)
    arguments = parser.parse_args()
    settings = read_settings(arguments, GenerateSettings)
    if not 1 <= arguments.batch_size <= 64:
        parser.error(f"--batch-size: found {arguments.batch_size}, expected 1 to 64")

    if arguments.samples is not None and arguments.samples < 1:
        parser.error(f"--samples: found {arguments.samples}, expected at least 1")

    join_srun()
    from closerlook.generate.responses import generate
    from closerlook.generate.samples import sample

    answer = generate if arguments.samples is None else partial(sample, samples=arguments.samples)
    answer(
        base=arguments.model,
        tuned=arguments.tuned,
        evalset=arguments.evalset,
        template=arguments.template,
        settings=settings,
        out=arguments.out,
        batch_size=arguments.batch_size,
        precision=arguments.precision,
        gpus=arguments.gpus,
    )


if __name__ == "__main__":
    run(main)
