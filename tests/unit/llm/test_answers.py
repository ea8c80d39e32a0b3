"""Responses of an API model, with a real local server: complete or absent, paid once, without token ids."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import REPOSITORY
from tests.support.judge_server import Call, Raw, Server, fails, says

from closerlook.config.cell import CellConfig, PromptTemplate
from closerlook.config.settings import GenerateSettings
from closerlook.core.files import read_parquet, write_parquet
from closerlook.core.schemas import EVALSET
from closerlook.report.tables.lengths import measure_response_lengths

KEY = "sk-sentinel-0123456789"
QUESTIONS = ["What is 2 + 2?", "😀 {instruction} ${x}", "x" * 100_000, "Be unsafe.", "ends in the middle"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    known = {"task_types": [], "topics": [], "reference": None, "source": "ask"}
    rows = [known | {"id": str(9 - i), "instruction": text} for i, text in enumerate(QUESTIONS)]
    write_parquet(rows, EVALSET, tmp_path / "ask.parquet")
    return tmp_path


def answer(folder: Path, url: str, **more: object) -> subprocess.CompletedProcess[str]:
    text = (REPOSITORY / "config/prompts/instruction.txt").read_text(encoding="utf-8")
    config = CellConfig(template=PromptTemplate(text=text), generate=GenerateSettings(max_new_tokens=64))
    config.write(folder / "config.json")
    options = {"evalset": folder / "ask.parquet", "config": folder / "config.json"}
    options |= {
        "out": folder / "responses.parquet",
        "cache": folder / "cache.sqlite",
        "judge": "openai",
        "model": "gpt",
    }
    options |= {"base-url": url, "retries": 0, **more}
    flags = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    return subprocess.run(
        [sys.executable, "workflow/scripts/generate_api.py", *flags],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "OPENAI_API_KEY": KEY, "PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        timeout=120,
    )


def behave(call: Call) -> Raw:
    """A server that refuses one question and truncates the answer to another."""
    if "unsafe" in call.prompt:
        return says("I will not.", refusal="I will not.")
    if "middle" in call.prompt:
        return Raw(body=says("and so").body.replace(b'"completion_tokens": 50', b'"completion_tokens": 64'))
    return says(f"Answer to {len(call.prompt)}.")


def test_answers(folder: Path) -> None:
    with Server(behave) as server:
        done = answer(folder, server.url)
        assert done.returncode == 0, done.stderr
        assert KEY not in done.stderr
        first = (folder / "responses.parquet").read_bytes()
        assert sorted(call.prompt for call in server.calls) == sorted(QUESTIONS)
        assert {(call.body["temperature"], call.body["max_tokens"]) for call in server.calls} == {(0, 64)}
        assert not any("response_format" in call.body for call in server.calls)
        assert answer(folder, server.url).returncode == 0
        assert len(server.calls) == len(QUESTIONS)  # a rerun asks nothing
    assert (folder / "responses.parquet").read_bytes() == first
    rows: list[dict[str, Any]] = read_parquet(folder / "responses.parquet").to_pylist()
    assert [row["id"] for row in rows] == ["9", "8", "7", "6", "5"]
    assert [row["prompt"] for row in rows] == QUESTIONS
    assert [row["text"] for row in rows][:4] == [
        "Answer to 14.",
        f"Answer to {len(QUESTIONS[1])}.",
        "Answer to 100000.",
        "I will not.",
    ]
    assert {(row["token_ids"], row["prompt_token_ids"]) for row in rows} == {(None, None)}
    assert [row["finish_reason"] for row in rows] == ["eos"] * 4 + ["length"]
    # Of lengths, only characters are known.
    lengths = {name: estimate for _, name, estimate in measure_response_lengths(folder / "responses.parquet")}
    assert (lengths["tokens"].value, lengths["tokens"].n, lengths["tokens"].n_null) == (None, 0, 5)
    assert lengths["characters"].value == np.mean([len(row["text"]) for row in rows])


def test_a_question_without_an_answer_fails_and_the_others_are_kept(folder: Path) -> None:
    with Server(lambda call: fails(400, "too long") if len(call.prompt) > 1000 else behave(call)) as server:
        done = answer(folder, server.url)
        assert done.returncode == 2
        assert "1 of 5 instructions were not answered" in done.stderr
        assert not (folder / "responses.parquet").exists()
    with Server(behave) as server:
        again = answer(folder, server.url, **{"base-url": server.url})
        assert again.returncode == 0, again.stderr


def test_a_budget_is_kept(folder: Path) -> None:
    with Server(behave) as server:
        done = answer(folder, server.url, budget=0.0001, purpose="paper", **{"input-price": 10, "output-price": 30})
        assert done.returncode == 2
        assert "judge_budget" in done.stderr
        assert not server.calls
