"""The claims decided from the paper's own numbers."""

import math
from typing import Any

import pytest

from closerlook.report.tables.claim_effects import HALF_WIDTH


def papers(rows: list[dict[str, Any]], says: str) -> list[dict[str, Any]]:
    return [r for r in rows if r["claim"] == says and r["decided_from"] == "paper" and r["metric"] == "effect"]


def test_the_papers_own_numbers(rows: list[dict[str, Any]]) -> None:
    one = papers(rows, "LFT factuality > SFT factuality on the same data")
    assert {(r["judge"], r["version"]) for r in one} == {("gpt-4-1106-preview", "as printed")}
    assert len(one) == 71
    by_cell = {(r["model"], r["dataset"], r["size"], r["evalset"]): r for r in one}
    row = by_cell["llama-2-7b", "dolly", "15000", "just-eval-instruct"]
    assert row["value"] == pytest.approx(3.02 - 2.38)
    assert row["ci_high"] - row["value"] == pytest.approx(math.sqrt(2) * HALF_WIDTH)
    assert (row["decision"], row["decided_by"], row["n"]) == ("holds", "half-widths at n = 800", 800)
    narrow = by_cell["llama-2-7b", "dolly", "15000", "medinstruct-test"]
    assert narrow["ci_high"] - narrow["value"] == pytest.approx(math.sqrt(2 * 800 / 216) * HALF_WIDTH)
    # 13B, MedInstruct 1k: LFT's row is 7B's, and SFT's is above it, by less than two such means can tell apart.
    row = by_cell["llama-2-13b", "medinstruct", "1000", "medinstruct-test"]
    assert row["value"] == pytest.approx(4.63 - 4.75)
    assert (row["decision"], row["suspect"]) != ("holds", "")
    assert "every value equals Table 13, row 17" in row["suspect"]


def test_figures_are_decided_by_their_numbers_alone(rows: list[dict[str, Any]]) -> None:
    falls = papers(rows, "LFT's KL falls by more than half after the first 5% of a sentence")
    assert [round(r["value"], 3) for r in falls] == [0.729, 0.65, 0.617, 0.571]
    stays = papers(rows, "SFT's KL falls by less than half after the first 5% of a sentence")
    lengths = papers(rows, "SFT on the dataset with longer responses gives longer answers")
    origins = papers(rows, "More of SFT's hallucinations than of LFT's come from the data")
    assert (len(stays), len(lengths), len(origins)) == (4, 6, 2)
    assert {(r["decision"], r["decided_by"]) for r in [*falls, *stays, *lengths, *origins]} == {
        ("holds", "the numbers alone")
    }
    assert not [
        r for r in rows if r["decided_by"] == "the numbers alone" and r["metric"] != "effect" and r["value"] is not None
    ]


def test_the_text_is_not_borne_out_by_the_tables(rows: list[dict[str, Any]]) -> None:
    """NEFTune and filtered Dolly are not above plain SFT; and helpfulness does move with the data by more than 0.2."""
    better = papers(rows, "NEFTune, or SFT on improved data, has more helpfulness than plain SFT")
    assert {r["dataset"]: r["decision"] for r in better if r["method"] == "sft"} == {
        "dolly-filtered": "does not hold",
        "evol-instruct": "holds",
        "alpagasus": "holds",
    }
    moved = papers(rows, "LFT's helpfulness moves by less than 0.2 from the smallest subset to the largest")
    assert "does not hold" in {r["decision"] for r in moved}
