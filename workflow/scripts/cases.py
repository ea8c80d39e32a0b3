"""Write a case sheet: Markdown with single spans, their instructions, answers, likely sources and paraphrases."""

import argparse
from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.core.scripts import parse_named_paths, run


def main() -> None:
    """Write a case sheet of a cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--title", required=True, help="heading of the sheet")
    parser.add_argument("--run", required=True, help="label of the cell's own answers, such as sft")
    for name, text in {
        "spans": "marked spans",
        "trace": "trace of the spans",
        "responses": "responses of the cell",
        "evalset": "instructions",
        "data": "instances that the cell was tuned on",
    }.items():
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=text)
    parser.add_argument(
        "--peers",
        nargs="*",
        default=[],
        metavar="RUN=FILE",
        help="responses of other cells tuned on the same data, by run",
    )
    parser.add_argument(
        "--paraphrases",
        type=Path,
        nargs=2,
        metavar="FILE",
        help="paraphrased evalset, and the cell's responses to it",
    )
    parser.add_argument("--count", type=int, default=10, metavar="N", help="spans shown (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="Markdown file to write")
    arguments = parser.parse_args()
    if arguments.count < 1:
        raise CloserlookError(f"--count: found {arguments.count}, expected at least 1")

    from closerlook.causal.cases import Paraphrases, Sources, write_cases

    paraphrases = Paraphrases(*arguments.paraphrases) if arguments.paraphrases else None
    files = (arguments.spans, arguments.trace, arguments.responses, arguments.evalset, arguments.data)
    sources = Sources(*files, parse_named_paths(arguments.peers, "--peers"), paraphrases)
    write_cases(arguments.title, arguments.run, sources, arguments.count, arguments.seed, arguments.out)


if __name__ == "__main__":
    run(main)
