"""Score a base model, and models tuned from it, on tasks with known answers.

A task is one of lm-evaluation-harness, by its name (also of a group or a tag), or is listed in a YAML or JSON file. Such a file
lists tasks of lm-evaluation-harness and of one's own, which have a name, a kind and a file of items, as lines of JSON. choices:
items have id, context, choices and answer, the index of the right choice; the likeliest is the prediction. completion: items have
id, prompt and accepted; a greedy response must state one of these. rolling: items have id and text. An item may name its subject.
All adapters share one load of the base model. Killed and started again, a task resumes. Under torchrun or srun, the ranks share
the items.
"""

import argparse
from pathlib import Path
from typing import get_args

from closerlook.config.benchmarks import Task, is_file, named_task, read_tasks
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
    parser.add_argument("--with-base", action="store_true", help="with --tuned: score the base model too")
    parser.add_argument(
        "--tasks", nargs="+", required=True, metavar="TASK", help="names of tasks, or files that list tasks"
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder with a folder for each task of lm-evaluation-harness, from fetch_benchmark.py; without it, the hub's cache "
        "or the hub",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder; for several models, of a folder base, 1, 2, ... for each",
    )
    add_decoding(parser, get_args(EngineName))
    add_placement(parser)
    add_batch_tokens(parser, BATCH_TOKENS)
    arguments = parser.parse_args()
    tasks: list[Task] = []
    for entry in arguments.tasks:
        folder = Path(entry).parent
        tasks += [task.in_folder(folder) for task in read_tasks(Path(entry))] if is_file(entry) else [named_task(entry)]

    join_srun()
    from closerlook.benchmarks.answers import Answerer
    from closerlook.benchmarks.score import score, task_items

    how = arguments.precision, arguments.gpus, arguments.batch_tokens, arguments.batch_size, arguments.engine
    answerer = Answerer(arguments.model, arguments.tuned, *how)
    models = {str(number): tuned for number, tuned in enumerate(arguments.tuned, 1)}
    if arguments.with_base or not models:
        models = {"base": None, **models}
    items = {task.name: task_items(task, arguments.data and arguments.data / task.name) for task in tasks}
    for name, tuned in models.items():
        folder = arguments.out / name if len(models) > 1 else arguments.out
        for task in tasks:
            score(answerer, tuned, task, items[task.name], folder / f"{task.name}.parquet")


if __name__ == "__main__":
    run(main)
