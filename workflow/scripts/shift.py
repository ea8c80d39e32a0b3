"""Measure, for each token of a tuned model's responses, how far its next-token distribution moved from the base model's.

Resumes after a kill. Under torchrun or srun, the ranks share the responses.
"""

import argparse
from pathlib import Path

from closerlook.config.catalog import BATCH_TOKENS
from closerlook.core.ranks import join_srun
from closerlook.core.scripts import add_batch_tokens, add_placement, run


def main() -> None:
    """Write SHIFT for a base model, a tuned model and its responses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, metavar="DIR", help="base model, with its tokenizer")
    parser.add_argument(
        "--tuned", type=Path, required=True, metavar="DIR", help="tuned model: full weights, or an adapter on --base"
    )
    parser.add_argument(
        "--responses",
        type=Path,
        required=True,
        metavar="FILE",
        help="responses.parquet: id, prompt_token_ids, token_ids, text, finish_reason",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="shift.parquet to write")
    add_placement(parser)
    add_batch_tokens(parser, BATCH_TOKENS)
    arguments = parser.parse_args()

    join_srun()
    from closerlook.shift.analysis import shift

    inputs = arguments.base, arguments.tuned, arguments.responses
    shift(*inputs, arguments.out, arguments.precision, arguments.gpus, arguments.batch_tokens)


if __name__ == "__main__":
    run(main)
