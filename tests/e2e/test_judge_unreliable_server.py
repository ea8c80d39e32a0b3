"""Ten thousand responses are judged by a server that often fails."""

import random

import pytest
from tests.support.judge_program import rows, run, verdict, write
from tests.support.judge_server import Raw, Server, fails, says

from closerlook.judge.aspects import ASPECTS

pytestmark = pytest.mark.e2e


def test_ten_thousand_against_a_server_that_fails_every_fifth_call(tmp_path):
    """Every row exists once, and none is null."""
    draw = random.Random(0)
    bad = [
        fails(500),
        fails(429),
        Raw(drop=0),
        Raw(body=b'{"choices'),
        Raw(body=b"<html>", headers={"content-type": "text/html"}),
    ]
    write(tmp_path, 10_000)
    with Server(lambda call: draw.choice(bad) if draw.random() < 0.2 else says(verdict())) as server:
        done = run(tmp_path, server, "--concurrency", "64", "--retries", "12")
        assert done.returncode == 0, done.stderr[-2000:]
    actual = rows(tmp_path)
    assert [(row["id"], row["aspect"]) for row in actual] == [(f"q{i}", a) for i in range(10_000) for a in ASPECTS]
    assert {row["score"] for row in actual} == {4}
    assert 11_800 < len(server.calls) < 13_200
