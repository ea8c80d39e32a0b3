"""Tasks of lm-evaluation-harness through our passes, compared with its own `hf` backend on the same model, item by item."""

import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import lm_eval
import numpy as np
import pytest
import yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from tests.support.harness_tasks import TASKS, write_tasks
from tests.support.tiny_models import byte_tokenizer, saved, tiny_model

from closerlook.benchmarks import score as scoring
from closerlook.benchmarks.answers import Answerer
from closerlook.benchmarks.harness import _items, _parts, fetch, read_harness
from closerlook.benchmarks.score import score
from closerlook.config.benchmarks import HarnessTask
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("harness")
    write_tasks(folder)
    saved(tiny_model(), folder / "base", byte_tokenizer())
    return folder


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What lm-evaluation-harness makes of each item, by task."""
    model = HFLM(pretrained=tiny_model(), tokenizer=byte_tokenizer(), batch_size=5, device="cpu")
    tasks = TaskManager(include_defaults=False).load([str(folder / f"{name}.yaml") for name in TASKS])
    for task in tasks["tasks"].values():
        task.set_fewshot_seed(1234)  # as its command line does
    results = lm_eval.evaluate(model, tasks, log_samples=True, bootstrap_iters=0)
    assert results is not None
    return {name: sorted(samples, key=lambda row: row["doc_id"]) for name, samples in results["samples"].items()}


def rows_of(folder: Path, out: Path, name: str, **how: Any) -> list[dict[str, Any]]:
    """Our rows of a task, whose data are fetched first."""
    task = HarnessTask(harness=str(folder / f"{name}.yaml"), **how)
    fetch(task, out / "data")
    score(Answerer(folder / "base"), None, task, read_harness(task, out / "data"), out / "rows.parquet")
    return read_parquet(out / "rows.parquet").to_pylist()


@pytest.mark.parametrize("name", TASKS)
def test_each_item_is_answered_and_graded_as_by_lm_evaluation_harness(
    name: str, folder: Path, expected: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    rows, metric = rows_of(folder, tmp_path, name), {"instructions": "all_followed", "exact": "exact_match"}
    samples = [sample for sample in expected[name] if sample["filter"] in ("none", "strict")]
    assert [row["id"] for row in rows] == [str(sample["doc_id"]) for sample in samples]
    assert len(rows) == 12
    for row, sample in zip(rows, samples, strict=True):
        if TASKS[name]["output_type"] == "generate_until":
            assert row["prediction"] == sample["resps"][0][0]
            score_there = sample[metric.get(name, "exact_match")]
        elif name == "texts":
            # float32 sums of up to 400 tokens, in other batches and windows
            np.testing.assert_allclose(row["log_probs"][0], sample["resps"][0][0], atol=1e-3)
            assert row["bytes"][0] == sample["bits_per_byte"][1]
            continue
        else:
            np.testing.assert_allclose(row["log_probs"], [response[0][0] for response in sample["resps"]], atol=1e-3)
            score_there = sample["acc"]
        assert row["score"] == float(score_there)
        assert row["correct"] == bool(score_there)


def test_the_tasks_are_hard_and_easy_enough_to_tell(expected: dict[str, list[dict[str, Any]]]) -> None:
    """Else equal grades would show nothing."""
    for name, metric in (("letters", "acc"), ("cloze", "acc"), ("cloze", "acc_norm"), ("inputs", "acc")):
        assert 0 < sum(sample[metric] for sample in expected[name]) < len(expected[name])


@pytest.mark.parametrize(
    ("name", "metric", "of", "chosen"),
    [("cloze", "acc_norm", "acc_norm", "none"), ("exact", "exact_match,first-letter", "exact_match", "first-letter")],
)
def test_another_metric_or_filter_can_be_asked_for(
    name: str,
    metric: str,
    of: str,
    chosen: str,
    folder: Path,
    expected: dict[str, list[dict[str, Any]]],
    tmp_path: Path,
) -> None:
    rows = rows_of(folder, tmp_path, name, metric=metric)
    samples = [sample for sample in expected[name] if sample["filter"] == chosen]
    assert [row["score"] for row in rows] == [float(sample[of]) for sample in samples]


def test_the_tasks_of_a_group_are_subjects_and_a_column_can_be_one(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pair.yaml").write_text(yaml.safe_dump({"group": "pair", "task": ["letters", "cloze"]}))
    for name in ("letters", "cloze"):
        shutil.copy(folder / f"{name}.yaml", tmp_path)
    task = HarnessTask(harness="pair", limit=3)
    manager = TaskManager(include_defaults=False, include_path=tmp_path)
    items = [i for part in _parts(task, manager).values() for i in _items(task, part, alone=False)]
    assert [(item.id, item.subject) for item in items] == [
        (f"{name}/{number}", name) for name in ("letters", "cloze") for number in range(3)
    ]
    rows = rows_of(folder, tmp_path, "letters", subject="topic", limit=4)
    assert [row["subject"] for row in rows] == ["cats", "dogs"] * 2
    with pytest.raises(CloserlookError, match=r"subject: found topics, expected one of the columns .*topic"):
        rows_of(folder, tmp_path, "letters", subject="topics")


def test_shots_replace_the_tasks_own_number(folder: Path, tmp_path: Path) -> None:
    task = HarnessTask(harness=str(folder / "letters.yaml"), shots=4)
    fetch(task, tmp_path / "data")
    for item in read_harness(task, tmp_path / "data"):
        assert [request.context.count("Answer:") for request in item.requests] == [5] * 4


def test_fetched_data_need_no_source_and_are_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    """The first reader has the source, which is gone for the second: a compute node."""
    write_tasks(tmp_path)
    task = HarnessTask(harness=str(tmp_path / "letters.yaml"))
    fetch(task, tmp_path / "data")
    before = [(item.id, item.requests) for item in read_harness(task, tmp_path / "data")]
    (tmp_path / "test.jsonl").unlink()
    (tmp_path / "train.jsonl").unlink()
    files = sorted(tmp_path.rglob("*"))
    assert [(item.id, item.requests) for item in read_harness(task, tmp_path / "data")] == before
    assert sorted(tmp_path.rglob("*")) == files  # readers leave nothing in a folder that others read
    index = json.loads((tmp_path / "data/task.json").read_text())
    assert (index["items"], index["requests"], index["new_tokens"]) == (12, 48, 0)
    shutil.rmtree(next(path for path in (tmp_path / "data").iterdir() if (path / "dataset_dict.json").is_file()))
    with pytest.raises(CloserlookError, match="lacks the dataset json; delete the folder"):
        read_harness(task, tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("letters", {"dataset_path": "nobody/nothing"}, "its dataset nobody/nothing cannot be loaded"),
        ("letters", {"dataset_kwargs": {"data_files": {"test": "/absent.jsonl"}}}, "its dataset json cannot be loaded"),
        ("letters", {"num_fewshot": 0, "shots": 2}, "shots: found 2, but the task takes no examples"),
        ("letters", {"metric": "f1"}, "metric: found f1, expected .*: acc"),
        ("exact", {"metric": "exact_match,other"}, "found filter other, expected one of strict, first-letter"),
        ("last-word", {"metric": "perplexity"}, "found perplexity, expected .*: acc"),
        ("exact", {"unsafe_code": True}, "runs code that a model writes"),
        ("exact", {"generation_kwargs": {"until": [], "top_k": 3}}, "decodes with top_k"),
        ("letters", {"doc_to_text": "{{question"}, "cannot be loaded: Template"),
        ("letters", {"output_type": "nonsense"}, "cannot be loaded: .*nonsense"),
    ],
)
def test_a_task_that_cannot_be_scored_is_refused_when_it_is_fetched(
    name: str, change: dict[str, Any], problem: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    how = {key: change.pop(key) for key in ("shots", "metric") if key in change}
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    file = tmp_path / f"{name}.yaml"
    file.write_text(file.read_text() + yaml.safe_dump(change) if change else file.read_text())
    with pytest.raises(CloserlookError, match=problem):
        fetch(HarnessTask(harness=str(file), **how), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_sampled_repeats_differ_and_are_the_same_in_each_run(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "exact.yaml"
    sampled = {
        "generation_kwargs": {"until": [], "do_sample": True, "temperature": 1.0, "max_gen_toks": 8},
        "repeats": 3,
    }
    file.write_text(file.read_text() + yaml.safe_dump(sampled))
    task = HarnessTask(harness=str(file), limit=2)
    items = read_harness(task, None)
    answers = [Answerer(folder / "base").ask([r for item in items for r in item.requests], None) for _ in range(2)]
    assert answers[0] == answers[1]
    assert len({answer.response for answer in answers[0]}) == len(answers[0]) == 6


def test_killed_in_the_middle_it_resumes_with_the_same_bytes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "PART", 5)
    rows_of(folder, tmp_path, "letters")
    whole = (tmp_path / "rows.parquet").read_bytes()
    (tmp_path / "rows.parquet").unlink()
    ask, asked = Answerer.ask, []

    def dies(answerer: Answerer, requests: Any, tuned: Any) -> Any:
        asked.append(len(requests))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return ask(answerer, requests, tuned)

    monkeypatch.setattr(Answerer, "ask", dies)
    with pytest.raises(KeyboardInterrupt):
        rows_of(folder, tmp_path, "letters")
    rows_of(folder, tmp_path, "letters")
    assert (tmp_path / "rows.parquet").read_bytes() == whole
    assert asked == [20, 20, 20, 8]  # the part that was finished is not asked again
