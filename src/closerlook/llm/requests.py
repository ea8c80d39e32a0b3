"""What a model is asked, and under what its answer is kept."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from closerlook.config.judges import OpenAIJudge
from closerlook.llm.cache import Answer

ANSWER_TOKENS = 400
"""Tokens of a chat model's answer, assumed where none is known yet."""
ASKED_AT_MOST = 2
"""Times that a request is put whose answers cannot be used: broken JSON is often whole the second time."""


@dataclass(frozen=True)
class Request:
    """A prompt, and the JSON schema that its answer should follow, with a name for it."""

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


def source_of(judge: OpenAIJudge) -> str:
    """The model and the server that are asked, in words."""
    return f"{judge.openai} at {urlsplit(judge.base_url).netloc}"


def key_of(judge: OpenAIJudge, request: Request) -> str:
    """SHA-256 of the model, the server, the parameters and the prompt, which holds the response."""
    schema = judge.structured and request.schema
    what = [source_of(judge), judge.max_tokens, judge.seed, schema, request.prompt]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
