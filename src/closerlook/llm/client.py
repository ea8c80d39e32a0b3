"""Requests to a language model, their cache keys, and the client with a progress bar that scripts use."""

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tqdm import tqdm

from closerlook.config.judges import OpenAIJudge
from closerlook.llm.cache import Answer, Cache

log = logging.getLogger(__name__)

ANSWER_TOKENS = 400
"""Assumed tokens of a chat model's answer, until some are known."""
MAX_ATTEMPTS = 2
"""Calls per request if answers are unusable: broken JSON is often valid the second time."""


def object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of an object with exactly these properties, as servers require it for structured output."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


@dataclass(frozen=True)
class Request:
    """A prompt, with the JSON schema of its answer and the schema's name."""

    prompt: str
    schema: dict[str, Any] | None = None
    name: str = "answer"


Finished = Callable[[int, Answer, float], None]
"""Called with a request's index, its answer, and the cost of new calls (0 from the cache)."""
Done = Callable[[str, Answer, float], None]
"""Called with a request's key, its answer, and the cost of new calls."""


class CompletionModel(ABC):
    """A model that completes requests and caches the answers: an endpoint.Endpoint, or a local.LocalModel."""

    cache: Cache

    def complete(
        self,
        requests: Sequence[Request],
        finished: Finished = lambda index, answer, cost: None,
        usable: Callable[[str], bool] = lambda text: True,
        expected_tokens: float | None = None,
    ) -> list[Answer]:
        """Return the answers in the order of the requests; equal requests are sent once. Failures are answers with an `error`.

        finished: called as each answer arrives. usable: an answer that is not usable is requested once more. expected_tokens: of
        an answer, for the estimate of the cost until some are cached (default: the longest allowed). Raises CloserlookError if no
        further answers can be had, such as at the end of a budget; answers so far are cached, so that another run resumes.
        """
        indices: dict[str, list[int]] = {}
        answers: dict[int, Answer] = {}

        def done(key: str, answer: Answer, cost: float) -> None:
            for index in indices[key]:
                answers[index] = answer
                finished(index, answer, cost if index == indices[key][0] else 0.0)

        for index, request in enumerate(requests):
            answer = self.cache.get(key := self.key(request))
            if answer and is_final(answer, usable):
                answers[index] = answer
                finished(index, answer, 0.0)
            else:
                indices.setdefault(key, []).append(index)
        if indices:
            log.info("%s requests, %s of them in the cache", f"{len(requests):,}", f"{len(answers):,}")
            todo = {key: requests[first] for key, (first, *_) in indices.items()}
            self.answer(todo, done, usable, expected_tokens)
        return [answers[index] for index in range(len(requests))]

    @abstractmethod
    def key(self, request: Request) -> str:
        """Return the key of a cached answer."""

    @abstractmethod
    def answer(
        self, todo: Mapping[str, Request], done: Done, usable: Callable[[str], bool], expected_tokens: float | None
    ) -> None:
        """Answer requests, by key; cache each answer, and call `done` with its key and its cost."""


def is_final(answer: Answer, usable: Callable[[str], bool]) -> bool:
    """Whether a request needs no further call."""
    return answer.asked > 0 and (answer.refused or answer.asked >= MAX_ATTEMPTS or usable(answer.text))


def model_and_server(judge: OpenAIJudge) -> str:
    """Name of the model and host of its server, as the cache stores it."""
    return f"{judge.openai} at {urlsplit(judge.base_url).netloc}"


def cache_key(judge: OpenAIJudge, request: Request) -> str:
    """SHA-256 of the model, the server, the parameters and the prompt: the key of a cached answer."""
    schema = judge.structured and request.schema
    parts = [model_and_server(judge), judge.max_tokens, judge.seed, schema, request.prompt]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


Ask = Callable[..., Sequence[Answer]]
"""One answer per request, in their order: an LLMClient, or a function in its place."""


class LLMClient:
    """Completes requests with a progress bar, and accumulates `cost` and the `versions` of the models that answered."""

    def __init__(self, source: CompletionModel, title: str) -> None:
        self._source, self._title = source, title
        self.versions: set[str] = set()
        self.cost = 0.0

    def __call__(
        self,
        requests: Sequence[Request],
        usable: Callable[[str], bool] = lambda text: True,
        expected_tokens: float | None = None,
    ) -> list[Answer]:
        """Return one answer per request, in order; failures are answers with an `error`."""
        with tqdm(total=len(requests), desc=self._title, unit=" answers") as bar:

            def finished(index: int, answer: Answer, cost: float) -> None:
                self.cost += cost
                self.versions |= {answer.model} - {""}
                bar.set_postfix_str(f"cost {self.cost:.2f}" if self.cost else "", refresh=False)
                bar.update()

            return self._source.complete(requests, finished, usable, expected_tokens)
