"""What calls may cost, and a key that is written nowhere."""

import json
import logging
import traceback

import pytest
from tests.support.endpoint import KEY, ask, echo, endpoint
from tests.support.judge_server import Raw, Server, fails, says

from closerlook.config.judges import OpenAIJudge
from closerlook.core.errors import CloserlookError
from closerlook.llm import endpoint as module
from closerlook.llm.budget import Budget
from closerlook.llm.client import Request
from closerlook.llm.endpoint import Endpoint

PRICES = {"input_price": 1e6, "output_price": 1e6}  # one per token


def test_a_budget_refuses_before_the_first_call(cache):
    with Server(echo) as server:
        with pytest.raises(CloserlookError, match=r"judge_budget: found 10\.00, expected at least "):
            ask(server, cache, ["a"], budget=Budget(10, "mini"), **PRICES)
        with pytest.raises(CloserlookError, match="expected input_price and output_price"):
            ask(server, cache, ["a"], budget=Budget(10, "mini"))
    assert not server.calls


def test_a_budget_holds_over_runs_and_while_running(cache):
    with Server(echo) as server:  # each call is 150, and estimated at 8 + 50 once one is known
        ask(server, cache, ["a"], budget=Budget(1200, "mini"), **PRICES)
        assert cache.spent("mini") == 150
        with pytest.raises(CloserlookError, match=r"1,200.00, of which [\d,]+\.00 are spent"):
            ask(server, cache, [f"{i}" for i in range(15)], budget=Budget(1200, "mini"), concurrency=1, **PRICES)
        assert 1050 <= cache.spent("mini") <= 1200
        calls = len(server.calls)
        ask(server, cache, ["a"], budget=Budget(0, "mini"), **PRICES)
        assert len(server.calls) == calls, "what is kept costs nothing"
        assert cache.spent("other") == 0


def test_the_key_is_nowhere(cache, tmp_path, monkeypatch, caplog, capsys):
    """All loggers are on, the server quotes the key in each answer, and an exception is raised."""
    monkeypatch.setenv("OPENAI_LOG", "debug")
    monkeypatch.setattr(module, "GIVE_UP_AFTER", 2)
    replies = [says(f"your key is {KEY}", model=f"m-{KEY}"), fails(400, f"key {KEY}"), says(None)]
    replies += [Raw(500, f"<html>{KEY}".encode(), {"content-type": "text/html"}), Raw(body=f'"{KEY}"'.encode())]
    end, answers, seen = None, [], ""
    with caplog.at_level(logging.DEBUG), Server(lambda call: replies[int(call.prompt) % len(replies)]) as server:
        end = endpoint(server, cache, retries=1, concurrency=1)
        requests = [Request(str(i)) for i in range(30)]
        try:
            end.complete(requests, lambda index, answer, cost: answers.append(answer))
        except CloserlookError as error:
            seen = "".join(traceback.format_exception(error))
            assert "2 requests in a row failed" in seen
        assert any(KEY in str(call.headers) for call in server.calls)
    seen += caplog.text + "".join(capsys.readouterr()) + repr(vars(end)) + repr(answers)
    for file in tmp_path.rglob("*"):
        seen += file.read_bytes().decode("latin-1") if file.is_file() else ""
    assert "your key is [API key]" in seen
    assert KEY not in seen


def test_no_part_of_the_key_is_told(cache):
    """A quotation of the key is truncated within the key."""
    with Server(lambda call: Raw(body=json.dumps("x" * 185 + KEY).encode())) as server:
        answer = ask(server, cache, ["a"], retries=0)[0]
    assert "no chat completion" in answer.error
    assert KEY[:10] not in answer.error


@pytest.mark.parametrize("tokens", [None, "7", -3, 1e300, 10**30, True, [1]])
def test_counts_that_cannot_be(cache, tokens):
    value = json.loads(says("x" * 40).body) | {"usage": {"prompt_tokens": tokens, "completion_tokens": tokens}}
    with Server(lambda call: Raw(body=json.dumps(value).encode())) as server:
        answer = ask(server, cache, ["a" * 80], **PRICES)[0]
    assert (answer.input_tokens, answer.output_tokens) in ((28, 18), (1, 1))


@pytest.mark.parametrize("key", [f"{KEY}\n", f"  {KEY}"])
def test_space_around_a_key_is_no_part_of_it(cache, monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with Server(echo) as server:
        ask(server, cache, ["a"])
    assert server.calls[0].headers["authorization"] == f"Bearer {KEY}"


def test_keys_that_cannot_be(cache, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n{KEY}")
    with pytest.raises(CloserlookError, match="holds characters") as caught:
        Endpoint(OpenAIJudge(openai="judge"), cache)
    assert "SENTINEL" not in str(caught.value)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(CloserlookError, match="OPENAI_API_KEY: is not set"):
        Endpoint(OpenAIJudge(openai="judge"), cache)
    with pytest.raises(CloserlookError, match="MINE: is not set"):
        Endpoint(OpenAIJudge(openai="judge", base_url="http://127.0.0.1:1/v1", key_variable="MINE"), cache)
    Endpoint(OpenAIJudge(openai="judge", base_url="http://127.0.0.1:1/v1"), cache)
    with pytest.raises(CloserlookError, match="without a user or a password") as caught:
        Endpoint(OpenAIJudge(openai="judge", base_url=f"https://me:{KEY}@host/v1"), cache)
    assert "SENTINEL" not in str(caught.value)
