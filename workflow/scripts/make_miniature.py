"""Make the miniature: a world, a pre-training corpus, instruction datasets of several styles, questions, tasks, general text."""

import argparse
import json
from pathlib import Path

from closerlook.config.benchmarks import MINIATURE_TASKS, TaskFile
from closerlook.config.settings import MiniatureSettings
from closerlook.core.files import replacing, write_json, write_text
from closerlook.core.scripts import add_settings, read_settings, run


def main() -> None:
    """Settings in, a folder out: world.json, corpus.txt, tasks.yaml; datasets/, tasks/, texts/, questions, planted: .jsonl."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    add_settings(parser, MiniatureSettings)
    arguments = parser.parse_args()
    settings = read_settings(arguments, MiniatureSettings)

    from closerlook.miniature.corpus import draw_corpus, draw_unseen, write_corpus
    from closerlook.miniature.instructions import draw_datasets
    from closerlook.miniature.planted import draw_planted, plant, planted_questions
    from closerlook.miniature.questions import draw_questions
    from closerlook.miniature.tasks import draw_tasks
    from closerlook.miniature.world import draw_world

    world = draw_world(settings)
    with replacing(arguments.out) as folder:
        world.save(folder / "world.json")
        write_corpus(draw_corpus(world, settings), folder / "corpus.txt")
        datasets, planted = draw_datasets(world, settings), draw_planted(world, settings)
        for name, rows in (datasets | {"planted": plant(datasets["brief"], planted, settings)}).items():
            _write_lines(rows, folder / "datasets" / f"{name}.jsonl")
        _write_lines(draw_questions(world, settings), folder / "questions.jsonl")
        _write_lines(planted_questions(world, planted), folder / "planted.jsonl")
        for name, items in draw_tasks(world, settings).items():
            _write_lines(items, folder / "tasks" / f"{name}.jsonl")
        _write_lines([{"text": text} for text in draw_unseen(world, settings)], folder / "texts" / "corpus.jsonl")
        write_json(TaskFile(tasks=list(MINIATURE_TASKS)).model_dump(), folder / "tasks.yaml")  # JSON is YAML too


def _write_lines(rows: list[dict], path: Path) -> None:
    write_text("".join(json.dumps(row) + "\n" for row in rows), path)


if __name__ == "__main__":
    run(main)
