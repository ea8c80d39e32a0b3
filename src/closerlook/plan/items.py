"""The tokens of benchmark tasks, counted from their items where these are here."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from closerlook.config.benchmarks import LocalTask
from closerlook.config.load import Configuration
from closerlook.core import layout
from closerlook.plan.work import CHARACTERS_PER_TOKEN


def count_item_tokens(configuration: Configuration, results: Path) -> tuple[float, float] | None:
    """Tokens of all tasks that a model reads, and that it writes at most; None while the items of a task are not here.

    Four characters count as a token. A context is read once for each of its choices.
    """
    characters, new_tokens = 0, 0
    for name, task in configuration.tasks.items():
        try:
            if isinstance(task, LocalTask):
                items = [json.loads(line) for line in _lines(configuration.root / task.file)]
                shown, scored = items[: task.shots], items[task.shots :]
                examples = sum(len(text) for item in shown for text in _texts(item)[:1])
                characters += sum(examples + len(text) for item in scored for text in _texts(item))
                new_tokens += task.max_new_tokens * len(scored) * (task.kind == "completion")
            else:
                index = json.loads(
                    (results / layout.benchmark_data(name) / layout.BENCHMARK_INDEX).read_text(encoding="utf-8")
                )
                characters += index["characters"]
                new_tokens += index["new_tokens"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
    return characters / CHARACTERS_PER_TOKEN, float(new_tokens)


def _lines(file: Path) -> Iterator[str]:
    return (line for line in file.read_text(encoding="utf-8").splitlines() if line.strip())


def _texts(item: dict[str, Any]) -> list[str]:
    """What a model reads of an item: one text, or one for each choice."""
    if "choices" in item:
        return [item["context"] + choice for choice in item["choices"]]
    return [item["prompt" if "prompt" in item else "text"]]
