"""What the plan says judging will cost: exact for responses that are there, and nothing for answers that are."""

import copy
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support import REPOSITORY

from closerlook.config import load
from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.judge.prompt_judge import build_requests, read_prompt
from closerlook.judge.verdicts import read_cases
from closerlook.llm.budget import estimate_tokens
from closerlook.llm.cache import Answer, Cache
from closerlook.llm.client import cache_key
from closerlook.plan.judge_cost import judge_costs

PRESET = {
    "preset": "mine",
    "template": "miniature",
    "judges": ["gpt", "oracle"],
    "judge_budget": 3,
    "grid": [{"models": ["miniature"], "methods": ["base", "icl"], "evalsets": ["questions"]}],
    "overrides": {
        "judges": {"gpt": {"openai": "gpt-4", "input_price": 1000, "output_price": 2000}},
        "miniature": {"questions": 200},
    },
}


def configured(**changes):
    preset = copy.deepcopy(PRESET)
    preset.update(changes)
    return load.load(preset, "mine.yaml", REPOSITORY)


def test_from_a_guess_to_nothing(tmp_path):
    configuration, results = configured(), tmp_path / "mine"
    judge = configuration.catalog.judges["gpt"]
    (first,) = judge_costs(configuration, results)
    assert (first.judge, first.calls, first.guessed, first.cached) == ("gpt", 400, 400, 0)
    assert first.output_tokens == 400 * 400
    assert first.cost == pytest.approx((first.input_tokens * 1000 + first.output_tokens * 2000) / 1e6)

    (results / "evalsets").mkdir(parents=True)
    questions = results / "evalsets/questions.parquet"
    pq.write_table(pa.table({"id": ["a", "b", "c"], "instruction": ["x", "y", "z"]}), questions)
    for run, texts in {"base": ["1", "2", "3"], "icl": ["1", "2", "four"]}.items():
        folder = results / "cells/miniature/none" / run / "questions"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"id": ["a", "b", "c"], "text": texts}), folder / "responses.parquet")
    (second,) = judge_costs(configuration, results)
    assert (second.calls, second.guessed, second.cached) == (4, 0, 0), "the same response is judged once"
    prompt = read_prompt(REPOSITORY / judge.prompt_file)
    requests = build_requests(read_cases(folder / "responses.parquet", questions), prompt, judge)
    with Cache(tmp_path / layout.ANSWER_CACHE) as cache:
        cache.put(cache_key(judge, requests[2]), "gpt-4 at api.openai.com", Answer("x", asked=1, output_tokens=77))
    (third,) = judge_costs(configuration, results)
    assert (third.calls, third.cached, third.output_tokens) == (3, 1, 3 * 77)
    assert third.input_tokens == estimate_tokens(requests[0].prompt) * 3

    for run in ("base", "icl"):
        verdicts = results / "cells/miniature/none" / run / "questions/verdicts"
        verdicts.mkdir()
        (verdicts / "gpt.parquet").touch()
    (last,) = judge_costs(configuration, results)
    assert (last.calls, last.cached, last.cost) == (0, 6, 0)


def test_a_marker_is_paid_for_too(tmp_path):
    overrides = copy.deepcopy(PRESET["overrides"]) | {"markers": {"quotes": {"judge": "gpt"}}}
    configuration, results = configured(overrides=overrides, judges=["oracle"], markers=["quotes"]), tmp_path / "mine"
    (first,) = judge_costs(configuration, results)
    assert (first.judge, first.calls, first.guessed, first.cached) == ("marker quotes", 400, 400, 0)
    assert first.cost == pytest.approx((first.input_tokens * 1000 + first.output_tokens * 2000) / 1e6)
    spans = results / "cells/miniature/none/icl/questions/spans"
    spans.mkdir(parents=True)
    (spans / "quotes.parquet").touch()
    (second,) = judge_costs(configuration, results)
    assert (second.calls, second.cached) == (200, 200)
    assert second.cost == first.cost / 2


def test_no_prices_and_no_sizes(tmp_path):
    overrides = {"judges": {"gpt": {"openai": "gpt-4"}}, "evalsets": {"questions": {"source": {"file": "README.md"}}}}
    (cost,) = judge_costs(configured(overrides=overrides, judges=["gpt"]), tmp_path)
    assert (cost.calls, cost.cost, cost.unknown) == (0, None, ("questions",))


def test_neither_torch_nor_the_client_is_needed():
    code = "import sys, closerlook.plan.judge_cost; sys.exit(bool({'torch', 'openai'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"judges": ["gtp"]}, r"mine.yaml: judges\[0\]: found 'gtp', expected a judge: .*did you mean gpt"),
        ({"judges": ["gpt", "gpt"]}, r"judges\[1\]: found 'gpt', expected each judge once"),
        ({"judge_budget": -1}, r"judge_budget: found -1, expected greater than or equal to 0"),
        (
            {"overrides": {"judges": {"gpt": {"openai": "x", "promt_file": "y"}}}},
            r"judges.gpt.promt_file: .*did you mean prompt_file",
        ),
        (
            {"overrides": {"judges": {"gpt": {"openai": "x", "retries": "3"}}}},
            r"overrides.judges.gpt.retries: found '3'",
        ),
        (
            {"overrides": {"judges": {"gpt": {"openi": "x"}}}},
            r"judges.gpt: .*expected a judge: a mapping with one of the keys",
        ),
        (
            {"overrides": {"judges": {"gpt": {"openai": "x", "prompt_file": "none.txt"}}}},
            r"judges.gpt.prompt_file: found 'none.txt'",
        ),
        (
            {"grid": [{"models": ["miniature"], "methods": ["base"], "evalsets": ["just-eval-instruct"]}]},
            r"judges\[1\]: found 'oracle', .*the oracle judges evalsets of the miniature only",
        ),
    ],
)
def test_mistakes_in_a_configuration(changes, message):
    with pytest.raises(CloserlookError, match=message):
        configured(**changes)
