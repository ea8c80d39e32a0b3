"""A client of the test server, with a key and a cache of its own."""

import pytest

from closerlook.config.judges import OpenAIJudge
from closerlook.judge.prompt_judge import answer_schema
from closerlook.llm import pace
from closerlook.llm.cache import Cache
from closerlook.llm.client import Request
from closerlook.llm.endpoint import Endpoint
from tests.support.judge_server import says

KEY = "sk-SENTINEL-0123456789abcdef"
SCHEMA = answer_schema(["clarity"])


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache; sets the key, and shortens the backoff a hundredfold."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(pace, "_backoff", lambda state: 0.005 * 2 ** min(state.attempt_number, 4))
    with Cache(tmp_path / "deep" / "cache.sqlite") as cache:
        yield cache


def endpoint(server, cache, budget=None, **settings):
    settings = {"openai": "judge", "base_url": server.url, "timeout": 5.0, "retries": 6} | settings
    return Endpoint(OpenAIJudge.model_validate(settings), cache, budget)


def ask(server, cache, prompts, usable=lambda text: True, schema=None, **settings):
    return endpoint(server, cache, **settings).complete([Request(p, schema) for p in prompts], usable=usable)


def echo(call):
    return says(f"<{call.prompt}>")
