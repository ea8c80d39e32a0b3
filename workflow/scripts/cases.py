"""Case sheets: single spans with the instruction, the answers of models, their likely sources and paraphrases, in Markdown."""

import argparse
from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.core.scripts import run


def main() -> None:
    """A cell's spans and trace in, a Markdown file out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--title", required=True, help="heading of the sheet")
    parser.add_argument("--run", required=True, help="what the cell's own answers stand under, such as sft")
    for name, what in {
        "spans": "marked spans",
        "trace": "their trace",
        "responses": "the responses they are in",
        "evalset": "the instructions answered",
        "data": "the instances that the cell was tuned on",
    }.items():
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=what)
    parser.add_argument(
        "--peers",
        nargs="*",
        default=[],
        metavar="RUN=FILE",
        help="responses of cells tuned on the same data, by their run",
    )
    parser.add_argument(
        "--paraphrases",
        type=Path,
        nargs=2,
        metavar="FILE",
        help="an evalset in other words, and the cell's responses to it",
    )
    parser.add_argument("--count", type=int, default=10, metavar="N", help="spans shown (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="draws them (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="Markdown file to write")
    arguments = parser.parse_args()
    if arguments.count < 1:
        raise CloserlookError(f"--count: found {arguments.count}, expected at least 1")

    from closerlook.causal.cases import Paraphrases, Sources, write_cases
    from closerlook.spans.located import parse_named_paths

    paraphrases = Paraphrases(*arguments.paraphrases) if arguments.paraphrases else None
    files = (arguments.spans, arguments.trace, arguments.responses, arguments.evalset, arguments.data)
    sources = Sources(*files, parse_named_paths(arguments.peers, "--peers"), paraphrases)
    write_cases(arguments.title, arguments.run, sources, arguments.count, arguments.seed, arguments.out)


if __name__ == "__main__":
    run(main)
