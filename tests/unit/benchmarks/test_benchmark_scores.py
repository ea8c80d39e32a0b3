"""Scores of tiny models on tasks of each kind, compared with passes of their own; and tasks that cannot be read."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tests.support import REPOSITORY
from tests.support.tiny_models import byte_tokenizer, save_adapter_and_merged, saved, tiny_model

from closerlook.benchmarks.answers import Answerer
from closerlook.benchmarks.items import read_items, states
from closerlook.benchmarks.score import score, task_items
from closerlook.config.benchmarks import LocalTask, read_tasks
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.core.schemas import BENCHMARK
from closerlook.models import family

CHOICES = [
    {"id": "a", "subject": "s", "context": "the cat", "choices": [" said", " and the dog", "é"], "answer": 1},
    {"id": "b", "context": "", "choices": ["dog", "cat"], "answer": 0},
]
PROMPTS = [{"id": "p", "prompt": "the dog", "accepted": ["x"]}, {"id": "q", "prompt": "they", "accepted": ["y", "z"]}]
TEXTS = [{"id": "t", "text": "the cat and the dog said é. " * 30}, {"id": "u", "text": "x"}]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    saved(tiny_model(), folder / "base", byte_tokenizer())
    save_adapter_and_merged(folder)
    return folder


def task(folder: Path, kind: str, items: list[dict[str, Any]], **more: Any) -> LocalTask:
    file = folder / f"{kind}.jsonl"
    file.write_text("".join(json.dumps(item) + "\n" for item in items))
    return LocalTask(name=kind, kind=kind, file=str(file), **more)


def rows_of(base: Path, task: LocalTask, folder: Path, tuned: Path | None = None) -> list[dict[str, Any]]:
    score(Answerer(base, [tuned] if tuned else []), tuned, task, task_items(task), folder / "out.parquet")
    table = read_parquet(folder / "out.parquet")
    assert table.schema.equals(BENCHMARK)
    return table.to_pylist()


def log_prob(text: str, start: int) -> float:
    """Log-probability of a text's tokens from `start` on, after the first token of all texts."""
    model, ids = tiny_model(), [0, *byte_tokenizer()(text, add_special_tokens=False)["input_ids"]]
    with torch.no_grad():
        logs = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].double(), -1)
    return sum(logs[i - 1, ids[i]].item() for i in range(start, len(ids)))


def test_choices_are_ordered_by_their_probability_and_by_that_per_byte(models: Path, tmp_path: Path) -> None:
    rows = rows_of(models / "base", task(tmp_path, "choices", CHOICES), tmp_path)
    assert [row["id"] for row in rows] == ["a", "b"]
    assert [row["subject"] for row in rows] == ["s", None]
    for row, item in zip(rows, CHOICES, strict=True):
        sizes = [len(choice.encode()) for choice in item["choices"]]
        assert row["bytes"] == sizes
        best = int(np.argmax(row["log_probs"]))
        assert row["prediction"] == item["choices"][best]
        assert row["correct"] == (best == item["answer"])
        assert row["correct_per_byte"] == (int(np.argmax(np.divide(row["log_probs"], sizes))) == item["answer"])
    # Without a context the token before the text is the tokenizer's first one, as in `log_prob`; float32 against float64.
    np.testing.assert_allclose(rows[1]["log_probs"], [log_prob("dog", 1), log_prob("cat", 1)], rtol=1e-4)


def test_a_text_longer_than_the_context_is_read_whole(models: Path, tmp_path: Path) -> None:
    rows = rows_of(models / "base", task(tmp_path, "rolling", TEXTS), tmp_path)
    tokens = byte_tokenizer()(TEXTS[0]["text"], add_special_tokens=False)["input_ids"]
    assert len(tokens) > 256  # of the tiny model's context
    assert rows[0]["tokens"] == [len(tokens)]
    assert rows[0]["bytes"] == [len(TEXTS[0]["text"].encode())]
    assert rows[1]["log_probs"] == [pytest.approx(log_prob("x", 1), rel=1e-4)]
    assert {rows[0]["correct"], rows[0]["prediction"]} == {None}


def test_a_completion_is_greedy_and_right_if_it_states_an_accepted_answer(models: Path, tmp_path: Path) -> None:
    rows = rows_of(models / "base", task(tmp_path, "completion", PROMPTS, max_new_tokens=6, stop=[]), tmp_path)
    tokenizer, model = byte_tokenizer(), tiny_model()
    for row, item in zip(rows, PROMPTS, strict=True):
        prompt = tokenizer(item["prompt"], return_tensors="pt")["input_ids"]
        expected = model.generate(prompt, max_new_tokens=6, do_sample=False, pad_token_id=1)[0, prompt.shape[1] :]
        assert row["prediction"] == tokenizer.decode(expected, skip_special_tokens=True)
        assert row["correct"] is False
    again = [item | {"accepted": ["never", row["prediction"]]} for item, row in zip(PROMPTS, rows, strict=True)]
    rows = rows_of(models / "base", task(tmp_path, "completion", again, max_new_tokens=6, stop=[]), tmp_path)
    assert [row["correct"] for row in rows] == [True, True]


def test_an_adapter_scores_as_the_weights_that_it_makes(models: Path, tmp_path: Path) -> None:
    tasks = [task(tmp_path, "choices", CHOICES), task(tmp_path, "rolling", TEXTS)]
    base, adapter, merged = (
        [row["log_probs"] for one in tasks for row in rows_of(models / "base", one, tmp_path, tuned)]
        for tuned in (None, models / "adapter", models / "merged")
    )
    for of_adapter, of_merged, of_base in zip(adapter, merged, base, strict=True):
        np.testing.assert_allclose(of_adapter, of_merged, rtol=1e-3)  # sums of up to 800 float32 numbers
        assert not np.allclose(of_adapter, of_base, rtol=1e-3)


def test_examples_stand_in_front_of_each_item_and_are_not_scored(models: Path, tmp_path: Path) -> None:
    shown = [*CHOICES, CHOICES[0] | {"id": "c"}]
    few = task(tmp_path, "choices", shown, shots=2)
    (item,) = read_items(few)
    shots = "the cat and the dog\n\ndog\n\n"
    assert [request.context for request in item.requests] == [f"{shots}the cat"] * 3
    (row,) = rows_of(models / "base", few, tmp_path)
    spelled_out = task(tmp_path, "choices", [CHOICES[0] | {"id": "c", "context": f"{shots}the cat"}])
    (spelled,) = rows_of(models / "base", spelled_out, tmp_path)
    assert row == spelled


def test_of_an_item_longer_than_the_context_the_end_is_read_and_it_is_marked(models: Path, tmp_path: Path) -> None:
    context, long = 256, "the cat and x" * 100
    items = [{"id": "l", "context": long, "choices": ["y", " dog"], "answer": 0}, CHOICES[0]]
    row, short = rows_of(models / "base", task(tmp_path, "choices", items), tmp_path)
    assert (row["cut"], short["cut"]) == (True, False)
    ids = byte_tokenizer()(f"{long} dog", add_special_tokens=False)["input_ids"][-context - 1 :]
    with torch.no_grad():
        logs = torch.log_softmax(tiny_model()(input_ids=torch.tensor([ids])).logits[0].double(), -1)
    expected = sum(logs[i - 1, ids[i]].item() for i in range(len(ids) - row["tokens"][1], len(ids)))
    assert row["log_probs"][1] == pytest.approx(expected, rel=1e-4)  # float32 against float64
    prompts = [{"id": "a", "prompt": long, "accepted": ["y"]}]
    (row,) = rows_of(models / "base", task(tmp_path, "completion", prompts, max_new_tokens=6, stop=[]), tmp_path)
    prompt = torch.tensor([byte_tokenizer()(long, add_special_tokens=False)["input_ids"][-(context - 6) :]])
    expected = tiny_model().generate(prompt, max_new_tokens=6, do_sample=False, pad_token_id=1)[0, context - 6 :]
    assert row["cut"]
    assert row["prediction"] == byte_tokenizer().decode(expected, skip_special_tokens=True)


def test_a_response_without_room_for_a_prompt_is_refused(models: Path, tmp_path: Path) -> None:
    with pytest.raises(CloserlookError, match=r"256 tokens leave no room .* context of 256"):
        rows_of(models / "base", task(tmp_path, "completion", PROMPTS, max_new_tokens=256), tmp_path)
    assert not (tmp_path / "out.parquet").exists()


def test_a_response_has_all_text_before_its_stop_string(models: Path, tmp_path: Path) -> None:
    """The stop string can begin inside a token, whose beginning belongs to the response."""
    (whole, _) = rows_of(models / "base", task(tmp_path, "completion", PROMPTS, max_new_tokens=20, stop=[]), tmp_path)
    text = whole["prediction"]
    for at in range(1, len(text)):
        stop = text[at : at + 2]
        some = task(tmp_path, "completion", PROMPTS, max_new_tokens=20, stop=[stop])
        (row, _) = rows_of(models / "base", some, tmp_path)
        assert row["prediction"] == text[: text.index(stop)]


def test_the_program_writes_a_file_per_model_and_task(models: Path, tmp_path: Path) -> None:
    for kind, items in (("choices", CHOICES), ("rolling", TEXTS)):
        task(tmp_path, kind, items)
    listed = [{"name": kind, "kind": kind, "file": f"{kind}.jsonl"} for kind in ("choices", "rolling")]
    (tmp_path / "tasks.yaml").write_text(json.dumps({"tasks": listed}))
    program = [sys.executable, str(REPOSITORY / "workflow/scripts/benchmark.py"), "--model", str(models / "base")]
    tuned = ["--tuned", str(models / "adapter"), str(models / "merged")]
    more = ["--tasks", "tasks.yaml", "--out", "out"]
    done = subprocess.run([*program, *tuned, *more], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files = {str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert files == {"1/choices.parquet", "1/rolling.parquet", "2/choices.parquet", "2/rolling.parquet"}


def test_the_base_and_its_adapters_share_one_load_and_score_as_alone(
    models: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Also full weights between them, which are loaded alone: the same bytes in any order."""
    loads: list[Path] = []
    load = family.load_base
    monkeypatch.setattr(family, "load_base", lambda folder, *how: loads.append(folder) or load(folder, *how))
    adapters = [models / "adapter", tmp_path / "other"]
    shutil.copytree(models / "adapter", adapters[1])
    weights = load_file(adapters[1] / "adapter_model.safetensors")
    save_file({name: 3 * weight for name, weight in weights.items()}, adapters[1] / "adapter_model.safetensors")
    tasks = [task(tmp_path, "choices", CHOICES), task(tmp_path, "completion", PROMPTS, max_new_tokens=6, stop=[])]
    together = Answerer(models / "base", adapters)
    found = {}
    for tuned in (adapters[1], None, adapters[0], adapters[1]):
        for one in tasks:
            score(together, tuned, one, task_items(one), tmp_path / "out.parquet")
            alone = rows_of(models / "base", one, tmp_path / "alone", tuned)
            assert read_parquet(tmp_path / "out.parquet").to_pylist() == alone
            found[tuned, one.name] = str([row["log_probs"] for row in alone])
    assert len({value for (_, name), value in found.items() if name == "choices"}) == 3
    assert loads.count(models / "base") == 1 + 4 * 2  # once for all, and once each for the runs alone


@pytest.mark.parametrize(
    ("kind", "lines", "problem"),
    [
        ("choices", ['{"id": "a", "context": "c", "choices": ["x"], "answer": 1}'], "answer below 1"),
        ("choices", ['{"id": "a", "context": "c", "choices": [], "answer": 0}'], ":1: choices"),
        ("choices", ['{"id": "a", "context": "c", "choices": ["x", ""], "answer": 0}'], ":1: choices.1"),
        ("choices", ['{"id": "a", "prompt": "c", "accepted": ["x"]}'], ":1: context"),
        ("completion", ['{"id": "a", "prompt": "c", "accepted": []}'], ":1: accepted"),
        ("completion", ['{"id": "a", "prompt": "c", "accepted": ["x"]}', "", "nonsense"], ":3: "),
        ("rolling", ['{"id": "a", "text": "x"}', '{"id": "a", "text": "y"}'], "'a' in more than one line"),
        ("rolling", ["[]"], ":1: "),
        ("rolling", [], "found 0 items"),
        ("rolling", ["\x00"], ":1: "),
    ],
)
def test_a_bad_line_is_named(kind: str, lines: list[str], problem: str, tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text("\n".join(lines))
    with pytest.raises(CloserlookError, match=r"items\.jsonl") as error:
        read_items(LocalTask(name="n", kind=kind, file=str(tmp_path / "items.jsonl")))
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tasks: []", "tasks"),
        ("tasks: [{name: a/b, kind: rolling, file: f}]", "tasks[0].name"),
        ("tasks: [{name: a, kind: other, file: f}]", "tasks[0].kind"),
        ("tasks: [{name: a, kind: rolling, file: f, shot: 1}]", "did you mean shots"),
        ("tasks: [{name: a, kind: rolling, file: f}, {name: a, kind: rolling, file: g}]", "a is repeated"),
        ("- a", "expected a mapping"),
    ],
)
def test_a_list_of_tasks_that_cannot_be_used_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "tasks.yaml").write_text(text)
    with pytest.raises(CloserlookError, match=r"tasks\.yaml") as error:
        read_tasks(tmp_path / "tasks.yaml")
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("response", "answer", "expected"),
    [
        (" harp. She", "harp", True),
        (" harps", "harp", False),
        ("In short, Mara\n plays the HARP and", "mara plays the harp.", True),
        ("harp", "harp", True),
        ("", "harp", False),
        ("a.c", "abc", False),
        ("3.5", "3", True),
    ],
)
def test_an_answer_is_stated_as_whole_words(response: str, answer: str, expected: bool) -> None:
    assert states(response, answer) is expected


@given(st.text(), st.from_regex(r"\A[a-z]+( [a-z]+)*\Z"), st.text())
def test_whatever_stands_around_it_an_answer_is_found(before: str, answer: str, after: str) -> None:
    assert states(f"{before} {answer} {after}", answer)
