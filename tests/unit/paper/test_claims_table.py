"""The claims table of cells whose truth is known, and the files that it reads."""

from typing import Any

import pytest
from tests.support.claim_cells import N
from tests.support.grid import grid_row, rows_of
from tests.support.synthetic import Folder

from closerlook.core.files import write_csv
from closerlook.paper.claims import CLAIMS
from closerlook.report.tables.build import build
from closerlook.report.tables.claims import CLAIMS_DECIDED, comparisons
from closerlook.report.tables.draw import to_latex, to_markdown
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import sections

TABLE = CLAIMS_DECIDED


def decided(rows: list[dict[str, Any]], says: str, **where: Any) -> dict[str, str]:
    """Decisions of ours by dataset@size."""
    chosen = [r for r in rows if r["claim"] == says and r["decided_from"] == "ours" and r["metric"] == "effect"]
    chosen = [r for r in chosen if all(r[key] == value for key, value in where.items())]
    return {f"{r['dataset']}@{int(r['size']) // 1000}k": r["decision"] for r in chosen}


def test_cells_of_the_causal_test_decide_no_claim() -> None:
    row = grid_row(cell="m/cut@1k/lft", dataset="cut", size=1000, judges=["j"])
    ours = [one for one in comparisons([row]) if one["decided_from"] == "ours"]
    assert ours
    assert not [one for one in comparisons([row | {"ablated": "traced"}]) if one["decided_from"] == "ours"]


def test_scores(rows: list[dict[str, Any]]) -> None:
    for aspect in ("factuality", "helpfulness"):
        assert decided(rows, f"LFT {aspect} > SFT {aspect} on the same data") == {
            "good@1k": "holds",
            "good@2k": "holds",
            "bad@1k": "does not hold",
            "same@1k": "undecided",
        }
    says = "LFT on the smallest subset has more factuality than SFT on the largest"
    assert decided(rows, says) == {"good@1k": "holds"}  # of bad there is one SFT, of the same size


def test_more_data_move_little_or_much(rows: list[dict[str, Any]]) -> None:
    assert decided(rows, "LFT's depth moves by less than 0.2 from the smallest subset to the largest") == {
        "good@2k": "holds",
        "bad@2k": "does not hold",
    }


def test_where_hallucinations_come_from(rows: list[dict[str, Any]]) -> None:
    says = "More of SFT's hallucinations than of LFT's come from the data"
    assert decided(rows, says, judge="oracle") == {
        "good@1k": "holds",
        "good@2k": "holds",
        "bad@1k": "does not hold",
        "same@1k": "undecided",
    }
    effect = next(r for r in rows if r["claim"] == says and r["dataset"] == "good" and r["metric"] == "effect")
    assert effect["value"] == pytest.approx(0.25, abs=0.12)  # 0.70 less 0.45, each of 199 spans
    assert (effect["n"], effect["n_null"]) == (N - 1, 0)  # the first response has no span
    assert decided(rows, f"{says}, beyond chance", judge="oracle") == {
        "good@1k": "holds",
        "good@2k": "undecided",  # chance explains it
        "bad@1k": "does not hold",
    }, "of same, all is tuned on, so that there is no chance level"


def test_collapsed_cells_are_suspect(rows: list[dict[str, Any]]) -> None:
    """On either side of a comparison, and no other; what is said of the paper's rows stays."""
    ours = [r for r in rows if r["decided_from"] == "ours"]
    of_it = [r for r in ours if r["against"] == "tiny/bad@1k/sft" or (r["dataset"], r["method"]) == ("bad", "sft")]
    assert {r["suspect"] for r in of_it} == {"tiny/bad@1k/sft: collapsed training"}
    assert {r["suspect"] for r in ours if r not in of_it} == {""}
    assert {r["dataset"] for r in of_it} == {"good", "bad"}


def test_shift(rows: list[dict[str, Any]]) -> None:
    lft = decided(rows, "LFT's KL falls by more than half after the first 5% of a sentence")
    sft = decided(rows, "SFT's KL falls by less than half after the first 5% of a sentence")
    assert (lft["good@1k"], lft["bad@1k"], lft["same@1k"]) == ("holds", "does not hold", "undecided")
    assert (sft["good@1k"], sft["bad@1k"], sft["same@1k"]) == ("holds", "does not hold", "undecided")
    shifted = decided(rows, "SFT shifts more tokens than LFT on the same data")
    assert shifted == {"good@1k": "holds", "good@2k": "holds", "bad@1k": "does not hold", "same@1k": "undecided"}


def test_lengths(rows: list[dict[str, Any]]) -> None:
    nearer = decided(rows, "SFT's answers are nearer in length to the data's than LFT's")
    assert (nearer["good@1k"], nearer["bad@1k"]) == ("holds", "does not hold")
    says = "SFT on the dataset with longer responses gives longer answers"
    pairs = {
        (r["dataset"], r["against"]): r["decision"]
        for r in rows
        if (r["claim"], r["decided_from"], r["metric"]) == (says, "ours", "effect")
    }
    assert pairs == {
        ("good", "tiny/bad@1k/sft"): "holds",
        ("good", "tiny/same@1k/sft"): "holds",
        ("bad", "tiny/same@1k/sft"): "does not hold",  # 20 characters taught, 90 answered; 50 and 50
    }


def test_what_is_to_improve_tuning(rows: list[dict[str, Any]]) -> None:
    says = "LFT has more factuality than NEFTune, or SFT on improved data"
    (row,) = (r for r in rows if r["claim"] == says and r["decided_from"] == "ours" and r["metric"] == "effect")
    assert (row["decision"], row["method"], row["against"]) == ("does not hold", "lft", "tiny/good@2k/nft")
    says = "NEFTune, or SFT on improved data, has more factuality than plain SFT"
    assert set(decided(rows, says).values()) == {"holds"}


def test_numbers_stand_beside_decisions(rows: list[dict[str, Any]]) -> None:
    ours = [r for r in rows if r["decided_from"] == "ours" and r["judge"] == "alpha" and r["metric"] == "effect"]
    assert {(r["n"], r["n_null"]) for r in ours} == {(N - 1, 1)}
    assert {r["version"] for r in ours} == {"j@1/prompt 0"}
    assert all(r["ci_low"] <= r["value"] <= r["ci_high"] for r in ours)
    p, holm = (
        {
            (r["claim"], r["dataset"], r["size"]): r["value"]
            for r in rows
            if r["metric"] == name and r["judge"] == "alpha"
        }
        for name in ("p", "p_holm")
    )
    assert all(holm[key] >= p[key] for key in p)


def test_the_page_is_short_at_first(rows: list[dict[str, Any]]) -> None:
    page = to_markdown(sections(rows, TABLE), TABLE, [], "make")
    short = page.split("## In short")[1].split("## Every comparison")[0]
    assert "| claim | decided from | does not hold | holds | undecided |" in short
    lines = [line for line in short.splitlines() if line.startswith("| LFT factuality")]
    assert [line.split("|")[2:6] for line in lines] == [
        [" ours ", " 1 ", " 2 ", " 1 "],
        [" paper ", " 0 ", " 69 ", " 2 "],
    ]
    assert to_latex(sections(rows, TABLE), TABLE, [], "make")


@pytest.mark.parametrize("preset", ["mini", "small", "paper", "paper-modern"])
def test_every_grid_has_the_table(preset: str) -> None:
    grid = rows_of(preset)
    assert TABLE.fits(grid)
    inputs = TABLE.inputs(grid)
    assert all(path in ("grid.json", "tables/collapse.csv") or path.startswith(("cells/", "data/")) for path in inputs)
    assert list(TABLES).index("collapse") < list(TABLES).index("claims")  # partial tables are drawn in this order
    says = [claim.statement for claim in CLAIMS]
    assert len(set(says)) == len(says)


def test_a_cell_that_is_not_there_is_named(folder: Folder) -> None:
    for method in ("lft", "sft"):
        folder.cell("it@1k", method)
    rows, missing = build("claims", TABLE, folder.path)
    ours = [row for row in rows if row["decided_from"] == "ours"]
    assert {row.get("decision") for row in ours} == {""}
    assert {item.command.split()[1].rpartition("/")[2] for item in missing} == {
        "alpha.parquet",
        "beta.parquet",
        "shift.parquet",
        "responses.parquet",
        "it@1k.parquet",
        "collapse.csv",
    }
    write_csv(rows, TABLE.columns, folder.path / "claims.csv")
    page = to_markdown(sections(read_csv(folder.path / "claims.csv", TABLE), TABLE), TABLE, missing, "make")
    assert "no data" in page
