"""Compare the responses of a cell tuned on a simplified dataset with those of the cell tuned on the dataset itself.

The classes of the paper's Figure 6 are decided by a judge that sees each pair in both orders, by the miniature's oracle, or by
people (--labels). A judge's answers are cached, so that a restarted run asks only for the missing ones.
"""

import argparse
from pathlib import Path

from closerlook.core.scripts import run


def main() -> None:
    """Write the classes of the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--original", type=Path, required=True, help="responses.parquet of the cell tuned on the dataset"
    )
    parser.add_argument(
        "--simplified", type=Path, required=True, help="responses.parquet of the cell tuned on the simplified dataset"
    )
    parser.add_argument(
        "--evalset", type=Path, required=True, help="parquet with id and instruction; its name is that of the catalog"
    )
    parser.add_argument("--labels", type=Path, help="CSV with the columns cell, evalset, id, class, optionally reason")
    parser.add_argument("--cell", help="with --labels: name of the cell tuned on the simplified dataset")
    parser.add_argument(
        "--prompt-file", type=Path, default=Path("config/prompts/compare.txt"), help="default: %(default)s"
    )
    parser.add_argument("--out", type=Path, required=True, help="parquet file to write")
    from closerlook.judge.command import add_judge

    add_judge(parser, required=False)
    arguments = parser.parse_args()
    if bool(arguments.labels) == bool(arguments.judge):
        parser.error("expected either --judge or --labels")
    if arguments.labels and not arguments.cell:
        parser.error("--labels: needs --cell")

    from closerlook.core.files import write_parquet
    from closerlook.core.schemas import PAIRWISE
    from closerlook.judge import compare

    pairs = compare.read_pairs(arguments.evalset, arguments.original, arguments.simplified)
    if arguments.labels:
        rows = compare.compare_by_people(pairs, arguments.labels, arguments.cell, arguments.evalset.stem)
    elif arguments.judge == "oracle":
        from closerlook.miniature.world import World

        if arguments.world is None:
            parser.error("--judge oracle: needs --world")
        rows = compare.compare_by_oracle(pairs, World.load(arguments.world))
    else:
        from closerlook.config.judges import AskSettings
        from closerlook.judge.command import open_model
        from closerlook.llm.client import LLMClient
        from closerlook.llm.prompt_file import read

        prompt = read(arguments.prompt_file, compare.SLOTS)
        with open_model(arguments, AskSettings(max_tokens=compare.MAX_TOKENS)) as model:
            rows = compare.compare_by_judge(pairs, LLMClient(model, "compare"), prompt, arguments.model)
    write_parquet(rows, PAIRWISE, arguments.out)
    print(compare.summary(rows))


if __name__ == "__main__":
    run(main)
