"""Rankers that answer and abstain: counted by hand on made-up traces, and end to end in every world."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from tests.support.borrowing import FakeEmbeddings

from closerlook.config.markers import TrialWorld
from closerlook.core import layout
from closerlook.core.files import read_parquet
from closerlook.core.schemas import TRACE, TRIALS
from closerlook.report.tables.abstention import measure_abstention
from closerlook.report.tables.origin import TracedSpan
from closerlook.report.tables.trials import measure_trials
from closerlook.trace import trials
from closerlook.trace.trials import run_trials

Answers = list[tuple[str | None, float, frozenset[str]]]
"""The first candidate, its score, and the true sources."""


def measure(answers: Answers, ranker: str = "bm25") -> dict[str, Any]:
    spans, truths = {}, {}
    for number, (instance, score, sources) in enumerate(answers):
        key = f"r{number:04}", 0, 1
        spans[key], truths[key] = TracedSpan({}), sources
        if instance is not None:
            first = {"instance": instance, "bm25": score, "influence": score, "shared": score, "verbatim": score > 0}
            spans[key].ranked[ranker][1] = first
    return measure_abstention(spans, truths, ranker, [key[0] for key in spans])


RIGHT, WRONG, NONE = frozenset("a"), frozenset("b"), frozenset[str]()


@pytest.mark.parametrize("ranker", ["bm25", "gradient", "lexical"])
def test_a_score_that_tells_sources_from_none_is_worth_abstaining(ranker: str) -> None:
    answers = [("a", 2.0, RIGHT), ("a", 1.0, NONE)] * 20
    found = measure(answers, ranker)
    assert found["auroc"].value == 1
    assert (found["right"].value, found["right_abstaining"].value, found["answered"].value) == (0.5, 1, 0.5)


def test_a_score_that_says_nothing_is_not() -> None:
    """The threshold is chosen on other responses: chance agreement does not count."""
    generator = np.random.default_rng(0)
    answers = [("a", score, RIGHT if number % 4 < 2 else NONE) for number, score in enumerate(generator.random(400))]
    found = measure(answers)
    assert found["right"].value == 0.5
    assert abs(found["right_abstaining"].value - 0.5) < 0.05
    assert found["auroc"].low < 0.5 < found["auroc"].high


def test_wrong_answers_and_no_candidates() -> None:
    answers: Answers = [("a", 1.0, WRONG), (None, 0.0, RIGHT), (None, 0.0, NONE), ("a", 1.0, NONE)] * 20
    found = measure(answers)
    assert found["right"].value == 0.25, "right is to name no candidate where there is no source"
    assert found["right_abstaining"].value == 0.5, "who never answers is right on all that have none"
    assert found["answered"].value == 0
    assert found["auroc"].value == 0.5


@pytest.mark.parametrize("sources", [RIGHT, NONE])
def test_spans_of_one_kind_say_nothing_of_abstaining(sources: frozenset[str]) -> None:
    assert measure([("a", 1.0, sources)] * 5) == {}


@pytest.mark.parametrize("world", get_args(TrialWorld))
def test_every_world_is_traced_and_scored(world: TrialWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials.Embeddings, "build", lambda texts, embedder, folder: FakeEmbeddings(texts))
    files = [tmp_path / path(world) for path in (layout.trial_instances, layout.trials, layout.trial_trace)]
    run_trials(world, "fake", 10, 0, *files)
    instances, answers, trace = files
    assert read_parquet(answers).schema.equals(TRIALS)
    assert read_parquet(trace).schema.equals(TRACE)
    values = {(keys["ranker"], metric): e for keys, metric, e in measure_trials(answers, instances, trace)}
    for row in read_parquet(answers).to_pylist():
        assert 0 <= row["start"] < row["end"] < len(row["text"])
    for ranker in ("lexical", "bm25", "semantic", "fused"):
        assert values[ranker, "right"].n == read_parquet(answers).num_rows
        assert values[ranker, "precision_at_1"].n * 2 == values[ranker, "right"].n
        assert values[ranker, "precision_at_1"].value <= values[ranker, "mrr"].value
    lexical = {metric: value.value for (ranker, metric), value in values.items() if ranker == "lexical"}
    if world == "absent":
        assert lexical["precision_at_1"] == lexical["auroc"] == 1, "word search is right by construction"
    elif world in ("paraphrased", "computed"):
        assert lexical["precision_at_1"] == 0
        assert lexical["auroc"] == 0.5, "word search has no candidate at all"
    else:
        assert lexical["right_abstaining"] < 0.9, "word search loses"
    random = values["random", "parts_found"].value
    assert 0 < random < 1
