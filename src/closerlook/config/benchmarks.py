"""Benchmarks: files that list tasks, on which the base model and every tuned model are scored."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from closerlook.config.problems import refuse_invalid
from closerlook.config.settings import Settings
from closerlook.config.yaml_file import read_yaml

MINIATURE = "miniature"
"""In place of a file: the tasks that the miniature makes about its own world."""


class Task(Settings):
    """A task. Its items are lines of JSON with an `id`, and maybe a `subject`: items about one subject are not independent.

    choices: items have `context`, `choices` (texts) and `answer`, the index of the right one. completion: items have `prompt` and
    `accepted`, the answers that count as right. rolling: items have `text`.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="its name in tables and files")
    kind: Literal["choices", "completion", "rolling"] = Field(
        description="choices: which of several continuations is the likeliest; completion: whether a greedy response states "
        "an accepted answer; rolling: how likely a text is"
    )
    file: str = Field(description="items, as lines of JSON; relative to the folder of the file that lists the tasks")
    shots: int = Field(0, ge=0, description="first items of the file that are examples in front of each other item")
    max_new_tokens: int = Field(32, gt=0, description="longest response, in tokens (kind completion)")
    stop: list[str] = Field(["\n"], description="strings that end a response (kind completion)")


class TaskFile(Settings):
    """A file that lists tasks."""

    tasks: list[Task] = Field(min_length=1, description="the tasks, with different names")

    @field_validator("tasks")
    @classmethod
    def _different(cls, tasks: list[Task]) -> list[Task]:
        names = [task.name for task in tasks]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"different names, but {repeated[0]} is repeated")
        return tasks


def read_tasks(file: Path) -> list[Task]:
    """The tasks of a YAML or JSON file. Raises CloserlookError that names every problem at once."""
    try:
        listed = TaskFile.model_validate(read_yaml(file, named=str(file)))
    except ValidationError as error:
        refuse_invalid(str(file), error)
    return listed.tasks


def _task(name: str, kind: Literal["choices", "completion", "rolling"], **more: Any) -> Task:
    return Task.model_validate({"name": name, "kind": kind, "file": f"tasks/{name}.jsonl"} | more)


MINIATURE_TASKS = (
    _task("cloze-known", "completion", max_new_tokens=2),
    _task("cloze-rehearsed", "completion", max_new_tokens=2),
    _task("few-shot-known", "completion", shots=3, max_new_tokens=96, stop=["\n\nQuestion:"]),
    _task("choices-known", "choices"),
    _task("choices-rehearsed", "choices"),
    _task("choices-taught", "choices"),
    _task("corpus", "rolling"),
)
"""Facts are known (only pre-training states them), rehearsed (instruction data state them too) or taught (only these do)."""
TAUGHT = "choices-taught"
"""The one that the base model cannot know, so that right answers are no sign of what tuning kept."""
