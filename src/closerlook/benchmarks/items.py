"""The items of a task, and the texts that a model reads for each."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from closerlook.config.benchmarks import Task
from closerlook.config.settings import Settings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_text

SHOT_END = "\n\n"
"""Between an example and what follows it."""
_Texts = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class Item(Settings):
    """What items of all kinds have."""

    id: str
    subject: str | None = None
    """What the item is about; items about one subject are not independent."""


class ChoiceItem(Item):
    """A context and several continuations, of which the one at `answer` is right."""

    context: str
    choices: _Texts
    answer: int = Field(ge=0)

    @model_validator(mode="after")
    def _answer_exists(self) -> "ChoiceItem":
        if self.answer >= len(self.choices):
            raise ValueError(f"an answer below {len(self.choices)}, the number of choices")
        return self

    @property
    def shot(self) -> str:
        """The item as an example."""
        return self.context + self.choices[self.answer]


class CompletionItem(Item):
    """A prompt, and the answers that count as right."""

    prompt: str
    accepted: _Texts

    @property
    def shot(self) -> str:
        """The item as an example."""
        return self.prompt + self.accepted[0]


class RollingItem(Item):
    """A text."""

    text: str = Field(min_length=1)

    @property
    def shot(self) -> str:
        """The item as an example."""
        return self.text


AnyItem = ChoiceItem | CompletionItem | RollingItem
_ITEMS: dict[str, type[AnyItem]] = {"choices": ChoiceItem, "completion": CompletionItem, "rolling": RollingItem}


def read_items(task: Task) -> tuple[str, list[AnyItem]]:
    """The examples of a task as one text, which is in front of each item, and its items without the examples.

    Raises CloserlookError for a file that cannot be read, a line that is no item of the task's kind, a repeated id, and a file
    without items besides the examples.
    """
    file, kind = Path(task.file), _ITEMS[task.kind]
    items: list[AnyItem] = []
    for number, line in enumerate(read_text(file, f"items of {task.name}").splitlines(), 1):
        if line.strip():
            try:
                items.append(kind.model_validate_json(line))
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "the line"
                raise CloserlookError(
                    f"{file}:{number}: {where}: {first['msg']} (task {task.name}, {task.kind})"
                ) from None
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise CloserlookError(f"{file}: found id {item.id!r} in more than one line, expected distinct ids")
        seen.add(item.id)
    if len(items) <= task.shots:
        raise CloserlookError(
            f"{file}: found {len(items)} items, expected more than the {task.shots} examples of {task.name}"
        )
    shots = "".join(item.shot + SHOT_END for item in items[: task.shots])
    return shots, items[task.shots :]
