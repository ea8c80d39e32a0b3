"""Measure the likelihood of each marked span, and of the rest of its response, under the base model and tuned models.

Resumes after a kill.
"""

import argparse
from pathlib import Path

from closerlook.config.catalog import BATCH_TOKENS
from closerlook.core.scripts import add_batch_tokens, add_placement, parse_named_paths, run


def main() -> None:
    """Write LIKELIHOOD: log-probabilities of spans."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, metavar="DIR", help="base model, with its tokenizer")
    parser.add_argument(
        "--models",
        nargs="*",
        default=[],
        metavar="RUN=DIR",
        help="tuned models by name: full weights, or adapters on --base",
    )
    parser.add_argument("--responses", type=Path, required=True, metavar="FILE", help="responses.parquet of the cell")
    parser.add_argument("--spans", type=Path, required=True, metavar="FILE", help="spans of these responses")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="likelihood parquet to write")
    add_placement(parser)
    add_batch_tokens(parser, BATCH_TOKENS)
    arguments = parser.parse_args()

    from closerlook.causal.likelihood import span_likelihood

    models = parse_named_paths(arguments.models, "--models")
    span_likelihood(
        arguments.base,
        models,
        arguments.responses,
        arguments.spans,
        arguments.out,
        arguments.precision,
        arguments.gpus,
        arguments.batch_tokens,
    )


if __name__ == "__main__":
    run(main)
