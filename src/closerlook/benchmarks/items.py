"""The items of a task of one's own: lines of JSON."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from closerlook.benchmarks.requests import Answer, Completion, Item, LogLikelihood, Rolling, grade_choices
from closerlook.config.benchmarks import LocalTask
from closerlook.config.settings import GenerateSettings, Settings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_text
from closerlook.core.resumable import Row

SHOT_END = "\n\n"
"""Between an example and what follows it."""
_Texts = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]


class _Line(Settings):
    """What items of all kinds have."""

    id: str
    subject: str | None = None
    """What the item is about; items about one subject are not independent."""


class ChoiceItem(_Line):
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

    def asked(self, shots: str, _: LocalTask) -> Item:
        """The item after the examples."""
        requests = [LogLikelihood(shots + self.context, choice) for choice in self.choices]
        return Item(self.id, self.subject, requests, partial(grade_choices, self.choices, self.answer))


class CompletionItem(_Line):
    """A prompt, and the answers that count as right."""

    prompt: str
    accepted: _Texts

    @property
    def shot(self) -> str:
        """The item as an example."""
        return self.prompt + self.accepted[0]

    def asked(self, shots: str, task: LocalTask) -> Item:
        """The item after the examples."""
        settings = GenerateSettings(max_new_tokens=task.max_new_tokens, stop=task.stop)
        return Item(self.id, self.subject, [Completion(shots + self.prompt, settings)], self._grade)

    def _grade(self, answers: Sequence[Answer]) -> Row:
        response = answers[0].response
        correct = any(states(response, answer) for answer in self.accepted)
        return {"prediction": response, "score": float(correct), "correct": correct}


class RollingItem(_Line):
    """A text."""

    text: str = Field(min_length=1)

    @property
    def shot(self) -> str:
        """The item as an example."""
        return self.text

    def asked(self, shots: str, _: LocalTask) -> Item:
        """The item after the examples."""
        return Item(self.id, self.subject, [Rolling(shots + self.text)], lambda answers: {})


_KINDS: dict[str, type[ChoiceItem | CompletionItem | RollingItem]] = {
    "choices": ChoiceItem,
    "completion": CompletionItem,
    "rolling": RollingItem,
}


def read_items(task: LocalTask) -> list[Item]:
    """The items of a task, each with the examples, which are no items, in front of it.

    Raises CloserlookError for a file that cannot be read, a line that is no item of the task's kind, a repeated id, and a file
    without items besides the examples.
    """
    file, kind = Path(task.file), _KINDS[task.kind]
    items: list[ChoiceItem | CompletionItem | RollingItem] = []
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
    return [item.asked(shots, task) for item in items[task.shots :]]


def states(response: str, answer: str) -> bool:
    """Whether an answer occurs in a response as whole words. Case, white space and the answer's full stop do not count."""
    words, wanted = (" ".join(text.casefold().split()) for text in (response, answer))
    return re.search(rf"(?<!\w){re.escape(wanted.removesuffix('.'))}(?!\w)", words) is not None
