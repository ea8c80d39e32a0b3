"""Score a base model, or models tuned from it, on the tasks of a file: choices, completions, texts.

A task has a name, a kind and a file of items, as lines of JSON. choices: items have id, context, choices and answer, the index
of the right choice; the likeliest is the prediction. completion: items have id, prompt and accepted; a greedy response must state
one of these. rolling: items have id and text. An item may name its subject. Killed and started again, a task resumes. Under
torchrun or srun, the ranks share the items.
"""

import argparse
from pathlib import Path
from typing import get_args

from closerlook.config.benchmarks import read_tasks
from closerlook.config.catalog import BATCH_TOKENS, EngineName
from closerlook.core.ranks import join_srun
from closerlook.core.scripts import add_batch_tokens, add_decoding, add_placement, run


def main() -> None:
    """Models and tasks in, <task>.parquet (BENCHMARK) in a folder out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="base model, with its tokenizer")
    parser.add_argument(
        "--tuned",
        type=Path,
        nargs="*",
        default=[],
        metavar="DIR",
        help="score these models instead: full weights, or adapters on --model",
    )
    parser.add_argument(
        "--tasks", type=Path, nargs="+", required=True, metavar="FILE", help="YAML or JSON files that list tasks"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder; for several models, of a folder 1, 2, ... for each",
    )
    add_decoding(parser, get_args(EngineName))
    add_placement(parser)
    add_batch_tokens(parser, BATCH_TOKENS)
    arguments = parser.parse_args()
    tasks = [
        task.model_copy(update={"file": str(file.parent / task.file)})
        for file in arguments.tasks
        for task in read_tasks(file)
    ]

    join_srun()
    from closerlook.benchmarks.score import Scorer

    models = arguments.tuned or [None]
    for number, tuned in enumerate(models, 1):
        folder = arguments.out / str(number) if len(models) > 1 else arguments.out
        how = arguments.precision, arguments.gpus, arguments.batch_tokens, arguments.batch_size, arguments.engine
        scorer = Scorer(arguments.model, tuned, *how)
        for task in tasks:
            scorer.score(task, folder / f"{task.name}.parquet")


if __name__ == "__main__":
    run(main)
