"""Rank the instances that a model was tuned on by their influence on each marked span (EK-FAC).

For small models, since it costs about as much as a training. Needs kronfluence: pip install --no-deps kronfluence==1.0.1
"""

import argparse
from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.core.scripts import run


def main() -> None:
    """Write ATTRIBUTION: instances ranked by influence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, metavar="DIR", help="base model, with its tokenizer")
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="tuned model: full weights, or an adapter on --base"
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="parquet of the instances that it was tuned on"
    )
    parser.add_argument("--template", type=Path, required=True, metavar="FILE", help="prompt template of the training")
    parser.add_argument("--responses", type=Path, required=True, metavar="FILE", help="its responses.parquet")
    parser.add_argument("--spans", type=Path, required=True, metavar="FILE", help="spans of these responses")
    parser.add_argument(
        "--top", type=int, default=10, metavar="N", help="instances kept per span (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="attribution parquet to write")
    arguments = parser.parse_args()
    if arguments.top < 1:
        raise CloserlookError(f"--top: found {arguments.top}, expected at least 1")

    from closerlook.causal.attribution import attribute

    attribute(
        arguments.base,
        arguments.model,
        arguments.data,
        arguments.template,
        arguments.responses,
        arguments.spans,
        arguments.top,
        arguments.out,
    )


if __name__ == "__main__":
    run(main)
