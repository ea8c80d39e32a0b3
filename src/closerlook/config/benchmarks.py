"""Benchmarks: the tasks on which the base model and every tuned model are scored."""

from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationError, ValidationInfo, field_validator

from closerlook.config.problems import refuse_invalid
from closerlook.config.settings import Settings, by_key
from closerlook.config.yaml_file import read_yaml

MINIATURE = "miniature"
"""In place of a file: the tasks that the miniature makes about its own world."""
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


def is_file(entry: str) -> bool:
    """Whether an entry of `benchmarks`, or a task of lm-evaluation-harness, is given as a file and not by its name."""
    return entry.endswith((".yaml", ".yml", ".json"))


class LocalTask(Settings):
    """A task of one's own. Its items are lines of JSON with an `id`, and maybe a `subject`: items about one are not independent.

    choices: items have `context`, `choices` (texts) and `answer`, the index of the right one. completion: items have `prompt` and
    `accepted`, the answers that count as right. rolling: items have `text`.
    """

    name: str = Field(pattern=_NAME, description="its name in tables and files")
    kind: Literal["choices", "completion", "rolling"] = Field(
        description="choices: which of several continuations is the likeliest; completion: whether a greedy response states "
        "an accepted answer; rolling: how likely a text is"
    )
    file: str = Field(description="items, as lines of JSON; relative to the folder of the file that lists the tasks")
    shots: int = Field(0, ge=0, description="first items of the file that are examples in front of each other item")
    max_new_tokens: int = Field(32, gt=0, description="longest response, in tokens (kind completion)")
    stop: list[str] = Field(["\n"], description="strings that end a response (kind completion)")

    def in_folder(self, folder: Path) -> "LocalTask":
        """The same task, whose file is given from this folder."""
        return self.model_copy(update={"file": str(folder / self.file)})


class HarnessTask(Settings):
    """A task of lm-evaluation-harness; of a group or a tag, all its tasks, whose names are the subjects of their items."""

    harness: str = Field(
        min_length=1, description="task, group or tag of lm-evaluation-harness, or a YAML file of its format"
    )
    name: str = Field("", validate_default=True, pattern=_NAME, description="its name in tables and files; the task's")
    shots: int | None = Field(None, ge=0, description="examples in front of each item; null for the task's own number")
    limit: int | None = Field(None, gt=0, description="the first items of each task that are scored; null for all")
    metric: str | None = Field(
        None,
        description="the score of an item, as `metric` or `metric,filter`; null for the task's first for which more is better",
    )
    subject: str | None = Field(None, description="column of the task's data that says what an item is about")

    @field_validator("name", mode="before")
    @classmethod
    def _of_the_task(cls, value: str, info: ValidationInfo) -> str:
        harness = info.data.get("harness", "")
        return value or (PurePath(harness).stem if is_file(harness) else harness)

    def in_folder(self, folder: Path) -> "HarnessTask":
        """The same task, whose file, if it is given as one, is given from this folder."""
        return self.model_copy(update={"harness": str(folder / self.harness)}) if is_file(self.harness) else self


Task = LocalTask | HarnessTask
ListedTask = Annotated[
    Annotated[HarnessTask, Tag("harness")] | Annotated[LocalTask, Tag("file")],
    Discriminator(lambda value: by_key("harness")(value) or "file"),
]


class TaskFile(Settings):
    """A file that lists tasks."""

    tasks: list[ListedTask] = Field(min_length=1, description="the tasks, with different names")

    @field_validator("tasks", mode="before")
    @classmethod
    def _named(cls, tasks: Any) -> Any:
        if not isinstance(tasks, list):
            return tasks
        return [{"harness": task} if isinstance(task, str) else task for task in tasks]

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


def named_task(name: str) -> HarnessTask:
    """A task of lm-evaluation-harness by its name alone. Raises CloserlookError for a name that no file could have."""
    try:
        return HarnessTask(harness=name)
    except ValidationError as error:
        refuse_invalid("benchmarks", error)


def _task(name: str, kind: Literal["choices", "completion", "rolling"], **more: Any) -> LocalTask:
    return LocalTask.model_validate({"name": name, "kind": kind, "file": f"tasks/{name}.jsonl"} | more)


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
