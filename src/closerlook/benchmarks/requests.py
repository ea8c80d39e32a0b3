"""Items of tasks: what each asks a model for, and how the model's answers are graded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from closerlook.config.settings import GenerateSettings
from closerlook.core.resumable import Row


@dataclass(frozen=True)
class LogLikelihood:
    """How likely a text is after a context."""

    context: str
    text: str


@dataclass(frozen=True)
class Rolling:
    """How likely a text is as a whole."""

    text: str


@dataclass(frozen=True)
class Completion:
    """A response to a prompt. settings: its longest length, the strings that end it, how it is sampled."""

    prompt: str
    settings: GenerateSettings


Request = LogLikelihood | Rolling | Completion


@dataclass(frozen=True)
class Answer:
    """A model's answer to a request."""

    tokens: int
    """Tokens of the text or of the response."""
    cut: bool = False
    """Whether the beginning of what the model reads was left out, so that it fits into the context."""
    log_prob: float = 0.0
    """Of the text, in nats."""
    greedy: bool = False
    """Whether each token of the text is the likeliest one."""
    response: str = ""
    """The response to a prompt."""


@dataclass(frozen=True)
class Item:
    """An item of a task."""

    id: str
    subject: str | None
    """What the item is about; items about one subject are not independent."""
    requests: Sequence[Request]
    """All of one kind."""
    grade: Callable[[Sequence[Answer]], Row]
    """From the answers, one to each request, to the columns of BENCHMARK that say what they are worth."""


def grade_choices(choices: Sequence[str], answer: int, answers: Sequence[Answer]) -> Row:
    """Whether the right one of the choices has the largest log-probability: in sum, and per UTF-8 byte."""
    log_probs = [given.log_prob for given in answers]
    best = int(np.argmax(log_probs))
    sizes = [max(1, len(choice.encode())) for choice in choices]
    return {
        "answer": answer,
        "prediction": choices[best],
        "score": float(best == answer),
        "correct": best == answer,
        "correct_per_byte": int(np.argmax(np.divide(log_probs, sizes))) == answer,
    }
