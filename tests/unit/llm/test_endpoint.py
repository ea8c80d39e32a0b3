"""The client and a real local server with all kinds of faults."""

import email.utils
import json
import time
from collections import Counter

import pytest
from tests.support.endpoint import KEY, SCHEMA, ask, echo, endpoint
from tests.support.judge_server import Raw, Server, fails, says

from closerlook.core.errors import CloserlookError
from closerlook.llm.cache import Answer
from closerlook.llm.client import Request


def test_answers_in_order_each_asked_once_and_never_again(cache):
    prompts = [f"question {i % 40}" for i in range(50)]
    with Server(echo) as server:
        told = []
        end = endpoint(server, cache)
        answers = end.complete([Request(p) for p in prompts], lambda index, answer, cost: told.append(index))
        assert [a.text for a in answers] == [f"<{p}>" for p in prompts]
        assert sorted(told) == list(range(50))
        assert len(server.calls) == 40, "equal requests are asked once"
        assert ask(server, cache, prompts) == answers
        assert len(server.calls) == 40, "a rerun asks nothing"
    body = server.calls[0].body
    assert (body["temperature"], body["seed"], body["max_tokens"], body["model"]) == (0, 0, 1024, "judge")
    assert server.calls[0].headers["authorization"] == f"Bearer {KEY}"
    assert answers[0] == Answer("<question 0>", "judge-0613", False, "", 100, 50, 1)


def test_what_decides_an_answer_is_in_its_key(cache):
    with Server(echo) as server:
        plain = endpoint(server, cache)
        keys = {
            endpoint(server, cache, **change).key(request)
            for change in ({}, {"openai": "other"}, {"max_tokens": 5}, {"seed": 1}, {"base_url": "http://elsewhere/v1"})
            for request in (Request("a"), Request("b"), Request("a", SCHEMA))
        }
        assert len(keys) == 15
        same = {"concurrency": 3, "retries": 1, "timeout": 9.0, "input_price": 1.0, "output_price": 1.0}
        assert endpoint(server, cache, **same).key(Request("a")) == plain.key(Request("a"))


HTML = Raw(body=b"<html><h1>Bad gateway</h1></html>", headers={"content-type": "text/html"})
ONCE = {
    "429": fails(429),
    "429 with Retry-After": fails(429, headers={"retry-after": "0.3"}),
    "429 until a date": fails(429, headers={"retry-after": "DATE"}),
    "408": fails(408),
    "500": fails(500),
    "503 in HTML": Raw(503, b"<html>", {"content-type": "text/html"}),
    "dropped at once": Raw(drop=0),
    "dropped in the header": Raw(body=b"x" * 50, drop=20),
    "dropped in the body": Raw(body=says("whole").body, drop=150),
    "slow": Raw(body=says("late").body, seconds=1.0),
    "truncated JSON": Raw(body=says("whole").body[:60]),
    "no JSON": Raw(body=b"oops"),
    "HTML with 200": HTML,
    "JSON that is no completion": Raw(body=b'{"hello": 1}'),
    "no choices": Raw(body=b'{"choices": []}'),
    "choices that are none": Raw(body=b'{"choices": [{"message": {"content": ["a"]}}]}'),
    "null": Raw(body=b"null"),
    "not UTF-8": Raw(body=b'{"choices": "\xff"}'),
    "nested too deeply": Raw(body=b"[" * 200_000),
    "not gzip": Raw(body=b"oops", headers={"content-type": "application/json", "content-encoding": "gzip"}),
}


@pytest.mark.parametrize("how", ONCE)
def test_what_passes_is_tried_again(cache, how):
    seen = Counter()

    def behave(call):
        seen[call.prompt] += 1
        reply = ONCE[how]
        if seen[call.prompt] == 1:
            if "DATE" in reply.headers.values():
                date = email.utils.formatdate(time.time() + 1.5, usegmt=True)
                return fails(429, headers={"retry-after": date})
            return reply
        return echo(call)

    with Server(behave) as server:
        start = time.monotonic()
        answers = ask(server, cache, ["a", "b", "c"], timeout=0.4)
    assert [answer.text for answer in answers] == ["<a>", "<b>", "<c>"]
    assert not any(answer.error for answer in answers)
    assert set(seen.values()) == {2}
    if how == "429 with Retry-After":
        assert time.monotonic() - start > 0.3


def test_nobody_calls_before_the_time_that_the_server_named(cache):
    times = []

    def behave(call):
        times.append(time.monotonic())
        return fails(429, headers={"retry-after": "0.5"}) if len(times) == 1 else echo(call)

    with Server(behave) as server:
        ask(server, cache, [f"{i}" for i in range(20)], concurrency=1)
    assert times[1] - times[0] > 0.5


@pytest.mark.parametrize("written", ["nan", "-5", "soon", "", "1e999x"])
def test_a_senseless_retry_after_is_no_reason_to_wait(cache, written):
    seen = []

    def behave(call):
        seen.append(call)
        return fails(503, headers={"retry-after": written}) if len(seen) == 1 else echo(call)

    with Server(behave) as server:
        assert ask(server, cache, ["a"])[0].text == "<a>"


def test_what_does_not_pass_is_not_tried_again_and_costs_nobody_else(cache):
    def behave(call):
        return (
            fails(400, "your prompt is too long", code="context_length_exceeded")
            if call.prompt == "long"
            else echo(call)
        )

    with Server(behave) as server:
        answers = ask(server, cache, ["a", "long", "b"], schema=SCHEMA)
        assert [answer.text for answer in answers] == ["<a>", "", "<b>"]
        assert "too long" in answers[1].error
        assert len(server.calls) == 3
        assert ask(server, cache, ["a", "long", "b"], schema=SCHEMA)[0].text == "<a>"
        assert len(server.calls) == 4, "a failure is no answer: it is not kept"


def test_retries_end(cache):
    with Server(lambda call: fails(500, "overloaded") if call.prompt == "bad" else echo(call)) as server:
        answers = ask(server, cache, ["a", "bad"], retries=3)
    assert answers[0].text == "<a>"
    assert answers[1].error.startswith("InternalServerError: Error code: 500")
    assert Counter(call.prompt for call in server.calls) == {"a": 1, "bad": 4}


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (fails(401, f"Incorrect API key provided: {KEY}"), "refuses the API key in OPENAI_API_KEY"),
        (fails(403), "refuses the API key"),
        (fails(404, "no such model"), "has no model judge"),
        (fails(429, "quota", code="insufficient_quota"), "no credit left"),
        (fails(402), "no credit left"),
    ],
)
def test_when_there_is_no_going_on(cache, reply, message):
    with Server(lambda call: reply) as server, pytest.raises(CloserlookError, match=message) as caught:
        ask(server, cache, [f"{i}" for i in range(100)], concurrency=4)
    assert len(server.calls) <= 4
    assert KEY not in str(caught.value)


def test_a_server_that_is_gone_is_given_up(cache):
    with Server(lambda call: fails(500)) as server, pytest.raises(CloserlookError, match="20 requests in a row failed"):
        ask(server, cache, [f"{i}" for i in range(500)], retries=1, concurrency=4)
    assert len(server.calls) < 60


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("response_format", "response_format of type json_schema is not supported"),
        ("response_format", "bad request"),
        ("seed", "Unrecognized request argument supplied: seed"),
        ("temperature", "Unsupported value: 'temperature' does not support 0"),
        ("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
    ],
)
def test_a_parameter_that_the_server_refuses_is_left_out_once_and_for_all(cache, name, message, caplog):
    with Server(lambda call: fails(400, message) if name in call.body else echo(call)) as server:
        answers = ask(server, cache, [f"{i}" for i in range(30)], schema=SCHEMA, concurrency=1)
    assert all(answer.text for answer in answers)
    assert len(server.calls) == 31
    assert f"does not take {name}" in caplog.text
    if name == "max_tokens":
        assert server.calls[-1].body["max_completion_tokens"] == 1024
    if name != "response_format":
        assert server.calls[-1].body["response_format"]["json_schema"]["schema"] == SCHEMA


def test_a_server_without_structured_output_need_not_be_asked_for_it(cache):
    with Server(echo) as server:
        ask(server, cache, ["a"], schema=SCHEMA, structured=False)
    assert "response_format" not in server.calls[0].body


@pytest.mark.parametrize(
    "reply",
    [
        says(None, refusal="I would rather not."),
        says("I", finish_reason="content_filter"),
        fails(400, "filtered", code="content_filter"),
    ],
)
def test_refusals(cache, reply):
    with Server(lambda call: reply) as server:
        assert ask(server, cache, ["a"])[0].refused
        assert ask(server, cache, ["a"], usable=lambda text: False)[0].refused
    assert len(server.calls) == 1


def test_an_answer_that_cannot_be_used_is_asked_for_once_more(cache):
    def behave(call):
        return says("broken") if call.number == 0 or call.prompt == "b" else says("good")

    with Server(behave) as server:
        for _ in range(2):
            answers = ask(server, cache, ["a", "b"], usable=lambda text: text == "good", concurrency=1)
            assert [(a.text, a.asked, a.output_tokens) for a in answers] == [("good", 2, 100), ("broken", 2, 100)]
    assert len(server.calls) == 4


def test_a_paid_answer_is_not_lost_when_the_second_try_fails(cache):
    with Server(lambda call: says("broken") if call.number == 0 else fails(400)) as server:
        answer = ask(server, cache, ["a"], usable=lambda text: False)[0]
    assert (answer.text, answer.error) == ("broken", "")


def test_concurrency_and_rate(cache):
    def behave(call):
        reply = echo(call)
        reply.seconds = 0.05
        return reply

    with Server(behave) as server:
        start = time.monotonic()
        ask(server, cache, [f"{i}" for i in range(40)], concurrency=8)
        assert server.most_at_once == 8
        assert time.monotonic() - start < 2
    with Server(behave) as server:
        start = time.monotonic()
        ask(server, cache, [f"rate {i}" for i in range(11)], concurrency=8, requests_per_minute=1200)
        assert 0.5 < time.monotonic() - start < 1.5


def test_unusual_text_survives(cache):
    text = "\u0000 🙂 \u2028 </s> ${instruction} \ud800"
    with Server(
        lambda call: Raw(
            body=json.dumps(
                json.loads(says("x").body)
                | {
                    "choices": [
                        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
                    ]
                }
            ).encode()
        )
    ) as server:
        answers = ask(server, cache, ["a \u0000 🙂"])
        assert answers == ask(server, cache, ["a \u0000 🙂"])
    assert answers[0].text.startswith("\u0000 🙂 \u2028")
    assert len(server.calls) == 1
