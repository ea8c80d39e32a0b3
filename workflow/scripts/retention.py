"""Measure what a tuned model kept of its base on general text: how likely both find it, and their KL divergence.

A text is what prepare_text.py writes (.parquet), a .txt whose pieces are between blank lines, or a .jsonl with the key text.
Killed and started again, it resumes. Under torchrun or srun, the ranks share the pieces.
"""

import argparse
from pathlib import Path

from closerlook.config.catalog import BATCH_TOKENS
from closerlook.config.texts import MAX_TOKENS
from closerlook.core.errors import CloserlookError
from closerlook.core.ranks import join_srun
from closerlook.core.scripts import add_batch_tokens, add_placement, run


def main() -> None:
    """Write RETENTION for a base model, a tuned model and each text, on one load of the models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, metavar="DIR", help="base model, with its tokenizer")
    parser.add_argument(
        "--tuned",
        type=Path,
        required=True,
        metavar="DIR",
        help="tuned model: full weights, or an adapter on --base; --base again for a control",
    )
    parser.add_argument("--text", type=Path, nargs="+", required=True, metavar="FILE", help="text, or several")
    parser.add_argument(
        "--out", type=Path, nargs="+", required=True, metavar="FILE", help="parquet to write for each text"
    )
    parser.add_argument(
        "--max-tokens",
        type=int,
        nargs="+",
        default=[MAX_TOKENS],
        metavar="N",
        help="most tokens of a piece, for each text or for all (default: %(default)s)",
    )
    add_placement(parser)
    add_batch_tokens(parser, BATCH_TOKENS)
    arguments = parser.parse_args()
    texts, limits = arguments.text, arguments.max_tokens
    limits = limits * len(texts) if len(limits) == 1 else limits
    if not len(texts) == len(arguments.out) == len(limits):
        raise CloserlookError(
            f"found {len(texts)} --text, {len(arguments.out)} --out and {len(limits)} --max-tokens, expected as many of each"
        )
    if min(limits) < 1:
        raise CloserlookError(f"--max-tokens: found {min(limits)}, expected at least 1")

    join_srun()
    from closerlook.benchmarks.retention import RetentionMeter

    how = arguments.precision, arguments.gpus, arguments.batch_tokens
    meter = RetentionMeter(arguments.base, arguments.tuned, *how)
    for text, out, max_tokens in zip(texts, arguments.out, limits, strict=True):
        meter.measure(text, out, max_tokens)


if __name__ == "__main__":
    run(main)
