"""Verdicts that say nothing, too little or nonsense: counted or refused, never averaged."""

from pathlib import Path

import numpy as np
import pytest
from tests.support.judged import answers, aspects_of, measure, questions, write
from tests.support.synthetic import Folder, fill, random_verdicts, verdict_row

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import RESPONSES
from closerlook.judge.aspects import ASPECTS
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.scores import measure_tasks
from closerlook.report.tables.verdicts import read_verdicts
from closerlook.stats.paired_tests import p_value

SCORES = {name: TABLES[name] for name in ("scores_by_aspect", "scores_by_task", "score_differences", "judge_agreement")}


@pytest.fixture
def judged(folder: Folder) -> Folder:
    """Two datasets, two methods, two controls, two judges."""
    fill(folder, ("brief@1k", "verbose@1k"), ("lft", "sft"), responses=40)
    return folder


def test_a_judge_that_said_nothing(tmp_path: Path) -> None:
    rows = [verdict_row(str(i), aspect, None, "refused") for i in range(5) for aspect in ASPECTS]
    verdicts = write(rows, tmp_path / "v.parquet")
    found = aspects_of(verdicts, answers({str(i): "x" * i for i in range(5)}, tmp_path / "r.parquet"))
    for aspect in ASPECTS:
        assert found[aspect, "score"] == found[aspect, "score_length_controlled"] == (None, None, None, 0, 5)
        assert found[aspect, "null_refused"].value == 5
    tasks = list(measure_tasks(verdicts, questions({str(i): [] for i in range(5)}, tmp_path / "e.parquet")))
    assert {keys["task_type"] for keys, _, _ in tasks} == {"untyped"}
    assert all(e[3:] == (0, 5) and e.value is None for _, metric, e in tasks if metric == "score")


def test_one_response_and_constant_scores(tmp_path: Path) -> None:
    one = aspects_of(
        write([verdict_row("a", "safety", 4)], tmp_path / "v.parquet"), answers({"a": ""}, tmp_path / "r.parquet")
    )
    assert one["safety", "score"] == one["safety", "score_length_controlled"] == (4.0, None, None, 1, 0)
    ids = [str(i) for i in range(9)]
    verdicts = write([verdict_row(i, "depth", 5) for i in ids], tmp_path / "w.parquet")
    constant = aspects_of(verdicts, answers(dict.fromkeys(ids, "x"), tmp_path / "s.parquet"))
    assert constant["depth", "score"][:3] == constant["depth", "score_length_controlled"][:3] == (5.0, None, None)


def test_no_verdict_at_all(judged: Folder) -> None:
    """An evalset of which nothing was left to judge: a file without rows is a cell without numbers, not an error."""
    for file in judged.path.glob("cells/tiny/brief@1k/lft/ask/verdicts/*.parquet"):
        write([], file)
    write_parquet([], RESPONSES, judged.path / "cells/tiny/brief@1k/lft/ask/responses.parquet")
    for name in SCORES:
        assert measure(name, judged)


def test_an_aspect_that_only_one_file_has(judged: Folder) -> None:
    file = judged.path / "cells" / "tiny/brief@1k/sft" / "ask" / "verdicts" / "alpha.parquet"
    write(random_verdicts(5, 40, aspects=("safety",)), file)
    rows = measure("scores_by_aspect", judged)
    there = [row for row in rows if row["aspect"] == "safety" and row["n"]]
    assert {(row["dataset"], row["method"]) for row in there} == {("brief", "sft"), ("", "")}
    assert [row["metric"] for row in there if not row["method"]] == ["length_slope"]  # of all cells together
    for name in ("scores_by_task", "score_differences", "judge_agreement"):
        assert measure(name, judged)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([("a", "depth", 4, None), ("a", "depth", 5, None)], "row 1: a second verdict on the depth of response a"),
        (
            [("a", "depth", 4, None), ("a", "clarity", 5, None), ("b", "depth", 1, None)],
            "b has no verdict on its clarity",
        ),
        ([("a", "depth", 7, None)], "score 7, null_cause None, expected a score"),
        ([("a", "depth", 0, None)], "score 0"),
        ([("a", "depth", None, None)], "score None, null_cause None"),
        ([("a", "depth", 3, "refused")], "score 3, null_cause refused"),
        ([("a", "depth", None, "bored")], "null_cause bored, expected .*not applicable"),
        ([("a", "depth", 3, "bored")], "score 3, null_cause bored"),
    ],
)
def test_broken_verdicts_are_named(rows: list[tuple], found: str, tmp_path: Path) -> None:
    path = write([verdict_row(*row) for row in rows], tmp_path / "v.parquet")
    with pytest.raises(CloserlookError, match=rf"v\.parquet: .*{found}.*delete the file and run its command again"):
        read_verdicts(path)


def test_verdicts_on_other_responses_are_refused(tmp_path: Path) -> None:
    verdicts = write([verdict_row(i, "depth", 3) for i in "ab"], tmp_path / "v.parquet")
    with pytest.raises(CloserlookError, match="no response of id b"):
        aspects_of(verdicts, answers({"a": "x"}, tmp_path / "r.parquet"))
    with pytest.raises(CloserlookError, match="no verdict of id c"):
        aspects_of(verdicts, answers({"a": "x", "b": "y", "c": "z"}, tmp_path / "s.parquet"))
    with pytest.raises(CloserlookError, match="response b answers no question"):
        list(measure_tasks(verdicts, questions({"a": []}, tmp_path / "e.parquet")))


def test_a_large_comparison_has_a_p(tmp_path: Path) -> None:
    """5,000 pairs that all agree in sign: the smallest p that a float can hold, not a division by zero or a NaN."""
    assert 0 < p_value(np.full(5000, 4.0)) < 1e-300
