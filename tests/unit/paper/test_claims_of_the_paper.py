"""The claims decided from the paper's own numbers."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from closerlook.judge.aspects import ASPECTS
from closerlook.judge.parsing import parse
from closerlook.report.tables.claim_effects import AT, NARROWEST

WIDEST = 1.959964 * 2 / math.sqrt(800)
"""Half of an interval of a mean of 1 and 5, which have the largest standard deviation that scores can have."""


def papers(rows: list[dict[str, Any]], says: str) -> list[dict[str, Any]]:
    return [
        r
        for r in rows
        if r["claim"] == says and (r["decided_from"], r["scope"], r["metric"]) == ("paper", "pair", "effect")
    ]


def answers(rows: list[dict[str, Any]], says: str) -> dict[str, Any]:
    """The answer's values by metric, and its decision."""
    chosen = [r for r in rows if r["claim"] == says and (r["decided_from"], r["scope"]) == ("paper", "all pairs")]
    (decision,) = {r["decision"] for r in chosen}
    return {r["metric"]: r["value"] for r in chosen} | {"decision": decision}


def test_the_papers_own_numbers(rows: list[dict[str, Any]]) -> None:
    one = papers(rows, "LFT has more factuality than SFT on the same data")
    assert {(r["judge"], r["version"]) for r in one} == {("gpt-4-1106-preview", "as printed")}
    assert len(one) == 71
    by_cell = {(r["model"], r["dataset"], r["size"], r["evalset"]): r for r in one}
    row = by_cell["llama-2-7b", "dolly", "15000", "just-eval-instruct"]
    assert row["value"] == pytest.approx(3.02 - 2.38)
    assert row["ci_high"] - row["value"] == pytest.approx(math.sqrt(2) * WIDEST)
    assert (row["decision"], row["decided_by"], row["n"]) == ("holds", "range of errors", 800)
    narrow = by_cell["llama-2-7b", "dolly", "15000", "medinstruct-test"]
    assert narrow["ci_high"] - narrow["value"] == pytest.approx(math.sqrt(2 * 800 / 216) * WIDEST)


def test_suspect_rows_are_left_out_but_not_for_what_they_say(rows: list[dict[str, Any]]) -> None:
    says = "LFT has more factuality than SFT on the same data"
    left = {(r["model"], r["dataset"], r["size"]) for r in papers(rows, says) if r["decision"] == "left out"}
    assert ("llama-2-13b", "medinstruct", "1000") in left  # its LFT row is 7B's
    assert {r["decision"] == "left out" for r in papers(rows, says) if r["suspect"]} == {True}
    answer = answers(rows, says)
    assert answer["pairs_left_out"] == sum(r["decision"] == "left out" for r in papers(rows, says))
    better = papers(rows, "NEFTune and SFT on improved data have more helpfulness than plain SFT")
    assert {r["dataset"] for r in better if not r["suspect"]} >= {"dolly-filtered"}, "against the text, and plausible"


def test_a_decision_that_needs_precise_means_says_so(rows: list[dict[str, Any]]) -> None:
    """LFT's helpfulness rises by 0.38 on Tulu: by more than 0.2 if means are as precise as the recorded ones."""
    found = {
        (r["model"], r["dataset"]): (r["decision"], round(r["value"], 2))
        for r in papers(rows, "LFT has no more helpfulness on the largest subset than on the smallest")
    }
    assert found["llama-2-7b", "tulu-v2-mix"][0] == "does not hold if precise"
    scores = [r for r in rows if r["decided_by"] == "range of errors" and r["decision"].endswith("if precise")]
    assert all(abs(r["value"]) < math.sqrt(2 * 800 / r["n"]) * WIDEST * 3 for r in scores if r["metric"] == "effect")


def test_figures_are_decided_by_their_numbers_alone(rows: list[dict[str, Any]]) -> None:
    falls = papers(rows, "LFT's KL falls more after the first 5% of a sentence than SFT's")
    assert all(0.2 < r["value"] < 0.5 for r in falls)
    lengths = papers(rows, "SFT on the dataset with longer responses gives longer answers")
    origins = papers(rows, "More of SFT's hallucinations than of LFT's come from the data")
    assert (len(falls), len(lengths), len(origins)) == (4, 6, 2)
    assert {(r["decision"], r["decided_by"]) for r in [*falls, *lengths, *origins]} == {("holds", "the numbers alone")}
    assert not [
        r
        for r in rows
        if r["decided_by"] == "the numbers alone" and r["metric"] in ("p", "p_holm") and r["value"] is not None
    ]


def test_the_answers(rows: list[dict[str, Any]]) -> None:
    """Equal to a t test over the pairs' numbers where these have no error of their own."""
    falls = [r["value"] for r in papers(rows, "LFT's KL falls more after the first 5% of a sentence than SFT's")]
    answer = answers(rows, "LFT's KL falls more after the first 5% of a sentence than SFT's")
    assert answer["mean_effect"] == pytest.approx(np.mean(falls))
    assert answer["mean_p"] == pytest.approx(stats.ttest_1samp(falls, 0).pvalue, rel=1e-6)
    assert answer["decision"] == "holds"
    assert answers(rows, "LFT has more factuality than SFT on the same data")["decision"] == "holds"
    moved = answers(rows, "LFT has no more factuality on the largest subset than on the smallest")
    assert (moved["decision"], moved["mean_power"] < 0.5) == ("undecided", True)
    better = answers(rows, "NEFTune and SFT on improved data have more helpfulness than plain SFT")
    assert better["decision"] == "undecided", "the text says that all of them are better"


def test_the_narrowest_error_is_that_of_the_recorded_verdicts(shared: Path) -> None:
    """Of all aspects, clarity's mean is the most precise."""
    lines = (shared / "data/judge_gpt4_1106/verdicts_000_399.jsonl").read_text(encoding="utf-8").splitlines()
    verdicts = [verdict for line in lines for verdict in parse(json.loads(line)["result"], ASPECTS)]
    widths = {}
    for aspect in ASPECTS:
        scores = [verdict.score for verdict in verdicts if verdict.aspect == aspect and verdict.score is not None]
        widths[aspect] = 1.96 * np.std(scores, ddof=1) / math.sqrt(AT)
    assert min(widths, key=widths.__getitem__) == "clarity"
    assert round(min(widths.values()), 2) == NARROWEST
