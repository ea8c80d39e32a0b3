"""Requests to a language model, their cache keys, and the client with a progress bar that scripts use."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from tqdm import tqdm

from closerlook.config.judges import OpenAIJudge
from closerlook.llm.cache import Answer

ANSWER_TOKENS = 400
"""Tokens of a chat model's answer, assumed where none is known yet."""
MAX_ATTEMPTS = 2
"""Attempts per request whose answers cannot be used: broken JSON is often valid the second time."""


@dataclass(frozen=True)
class Request:
    """A prompt, with the JSON schema of its answer and the schema's name."""

    prompt: str
    schema: dict[str, Any] | None = None
    name: str = "answer"


Finished = Callable[[int, Answer, float], None]
"""Called with a request's index, its answer, and what it cost now (0 from the cache)."""


class CompletionModel(Protocol):
    """A model that completes requests: llm.endpoint.Endpoint behind an API, llm.local.LocalModel on this machine."""

    def complete(
        self,
        requests: Sequence[Request],
        finished: Finished = ...,
        usable: Callable[[str], bool] = ...,
        expected_tokens: float | None = None,
    ) -> list[Answer]:
        """Return one answer per request, in their order; call `finished` as each arrives."""
        ...


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
    """A callable that returns the answers to requests; it accumulates `cost` and the model `versions` that answered."""

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
