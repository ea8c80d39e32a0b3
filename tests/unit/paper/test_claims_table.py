"""The claims table of cells whose truth is known, and the files that it reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.support.claim_cells import N
from tests.support.grid import grid_row, rows_of
from tests.support.synthetic import Folder

from closerlook.core.files import write_csv
from closerlook.core.grouping import grouped
from closerlook.paper.claims import CLAIMS
from closerlook.report.tables.build import build
from closerlook.report.tables.claims import CLAIMS_DECIDED, comparisons
from closerlook.report.tables.draw import to_latex, to_markdown
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import sections
from closerlook.stats.paired_tests import holm

TABLE = CLAIMS_DECIDED


READ = ("tables/collapse.csv", "tables/ablation.csv")
CAUSE = "tiny/bad@1k/sft: collapsed training"


def ours(rows: list[dict[str, Any]], says: str, metric: str) -> list[dict[str, Any]]:
    return [r for r in rows if (r["claim"], r["decided_from"], r["metric"]) == (says, "ours", metric)]


def answer(rows: list[dict[str, Any]], says: str) -> tuple[str, dict[str, float]]:
    """The answer of this grid, and its values."""
    chosen = [r for r in rows if (r["claim"], r["decided_from"], r["scope"]) == (says, "ours", "all pairs")]
    (decision,) = {r["decision"] for r in chosen}
    return decision, {r["metric"]: r["value"] for r in chosen}


def decided(rows: list[dict[str, Any]], says: str, **where: Any) -> dict[str, str]:
    """Decisions of ours on pairs, by dataset@size."""
    chosen = ours(rows, says, "effect")
    chosen = [r for r in chosen if all(r[key] == value for key, value in where.items())]
    return {f"{r['dataset']}@{int(r['size']) // 1000}k": r["decision"] for r in chosen}


def test_cells_of_the_causal_test_decide_no_claim() -> None:
    cells = [grid_row(cell=f"m/cut@1k/{name}", dataset="cut", size=1000, method=name) for name in ("lft", "sft")]
    assert list(comparisons(cells))
    assert not list(comparisons([row | {"ablated": "traced"} for row in cells]))


def test_the_papers_numbers_are_decided_only_if_asked_for(rows: list[dict[str, Any]]) -> None:
    cells = [grid_row(cell=f"m/cut@1k/{name}", dataset="cut", size=1000, method=name) for name in ("lft", "sft")]
    assert {row["decided_from"] for row in comparisons(cells)} == {"ours"}
    assert {row["decided_from"] for row in comparisons([cells[0] | {"paper_claims": True}])} == {"paper"}
    for group in grouped(rows, ("claim", "judge")).values():
        sources = [row["decided_from"] for row in group]
        assert sources == sorted(sources), "ours first"


def test_scores(rows: list[dict[str, Any]]) -> None:
    for aspect in ("factuality", "helpfulness"):
        assert decided(rows, f"LFT has more {aspect} than SFT on the same data") == {
            "good@1k": "holds",
            "good@2k": "holds",
            "bad@1k": "left out",  # its SFT collapsed
            "same@1k": "undecided",
        }
    says = "LFT on the smallest subset has more factuality than SFT on the largest"
    assert decided(rows, says) == {"good@1k": "holds"}  # of bad there is one SFT, of the same size


def test_more_data_move_little_or_much(rows: list[dict[str, Any]]) -> None:
    for says in (
        "LFT's depth hardly differs between the largest subset and the smallest",
        "LFT has no more depth on the largest subset than on the smallest",
    ):
        assert decided(rows, says) == {"good@2k": "holds", "bad@2k": "does not hold"}
        power = {row["dataset"]: row["value"] for row in ours(rows, says, "power")}
        assert 0.5 < power["good"] <= 1


def test_against_the_base_model(rows: list[dict[str, Any]]) -> None:
    assert decided(rows, "LFT has no more factuality than its base model") == {
        "good@1k": "does not hold",
        "good@2k": "does not hold",
        "bad@1k": "holds",
        "bad@2k": "holds",  # equal: no improvement
        "same@1k": "holds",
    }
    sft = {"good@1k": "holds", "good@2k": "holds", "bad@1k": "left out", "same@1k": "holds"}
    assert decided(rows, "SFT has less factuality than its base model") == sft
    assert decided(rows, "SFT is worse on benchmarks than its base model", judge="quiz") == sft | {
        "same@1k": "undecided"
    }
    says = "LFT is no better on benchmarks than its base model"
    assert decided(rows, says)["bad@1k"] == "does not hold"  # 15 points better
    equal = next(row for row in ours(rows, says, "p") if row["dataset"] == "good")
    assert equal["value"] == pytest.approx(2 * 0.98**200)  # of 200 subjects, 2% could be better by all
    more = decided(rows, "SFT hallucinates more spans per response than its base model", judge="oracle")
    assert more == sft
    assert {row["against"] for row in ours(rows, "SFT has less factuality than its base model", "effect")} == {
        "tiny/none/base"
    }


def test_where_hallucinations_come_from(rows: list[dict[str, Any]]) -> None:
    says = "More of SFT's hallucinations than of LFT's come from the data"
    assert decided(rows, says, judge="oracle") == {
        "good@1k": "holds",
        "good@2k": "holds",
        "bad@1k": "left out",
        "same@1k": "undecided",
    }
    effect = next(r for r in rows if r["claim"] == says and r["dataset"] == "good" and r["metric"] == "effect")
    assert effect["value"] == pytest.approx(0.25, abs=0.12)  # 0.70 less 0.45, each of 199 spans
    assert (effect["n"], effect["n_null"]) == (N - 1, 0)  # the first response has no span
    assert decided(rows, f"{says} beyond chance", judge="oracle") == {
        "good@1k": "holds",
        "good@2k": "undecided",  # chance explains it
        "bad@1k": "left out",
    }, "of same, all is tuned on, so that there is no chance level"


def test_words_and_similar_instances(rows: list[dict[str, Any]]) -> None:
    for method in ("LFT", "SFT"):
        copied = decided(rows, f"{method}'s shifted words are in its data more often than by chance")
        assert (copied["good@1k"], copied["good@2k"]) == ("holds", "undecided")  # of the latter, chance explains all
    similar = decided(rows, "More of SFT's hallucinations than of its base model's are in similar instances")
    assert (similar["good@1k"], similar["good@2k"]) == ("holds", "holds")  # 0.70 of them, 0.42 of the base's


def test_collapsed_cells_are_suspect_and_left_out(rows: list[dict[str, Any]]) -> None:
    """On either side of a comparison, and no other."""
    pairs = [r for r in rows if (r["decided_from"], r["scope"]) == ("ours", "pair")]
    of_it = [r for r in pairs if r["against"] == "tiny/bad@1k/sft" or (r["dataset"], r["method"]) == ("bad", "sft")]
    assert {r["suspect"] for r in of_it} == {CAUSE}
    assert {r["decision"] for r in of_it} == {"left out"}
    assert {r["suspect"] for r in pairs if r not in of_it} == {""}
    assert {r["dataset"] for r in of_it} == {"good", "bad"}
    assert not [r for r in of_it if r["metric"] == "p_holm" and r["value"] is not None]


def test_an_answer_is_the_mean_over_the_pairs(rows: list[dict[str, Any]]) -> None:
    says = "LFT has more factuality than SFT on the same data"
    effects = [r["value"] for r in ours(rows, says, "effect") if not r["suspect"]]
    decision, found = answer(rows, says)
    assert found["mean_effect"] == pytest.approx(np.mean(effects))
    assert {name: found[name] for name in found if name.startswith("pairs")} == {
        "pairs": 4,
        "pairs_hold": 2,
        "pairs_fail": 0,
        "pairs_undecided": 1,
        "pairs_left_out": 1,
    }
    assert decision == "undecided", "three datasets that differ do not speak for a fourth"
    assert 0.8 * np.std(effects, ddof=1) < found["spread"] < np.std(effects, ddof=1)
    assert stats.ttest_1samp(effects, 0).pvalue < found["mean_p"] < 0.5  # the instructions' error comes on top
    decision, found = answer(rows, "SFT has less factuality than its base model")
    assert (decision, found["spread"]) == ("holds", 0)  # -0.4 for each: the pairs differ as instructions explain
    (p,) = (r["value"] for r in ours(rows, "NEFTune and SFT on improved data have more factuality than plain SFT", "p"))
    _, found = answer(rows, "NEFTune and SFT on improved data have more factuality than plain SFT")
    assert found["mean_p"] == p, "of a single pair"


def test_consistently_is_said_of_nine_pairs_in_ten(rows: list[dict[str, Any]]) -> None:
    decision, found = answer(rows, "LFT consistently has more factuality than tuning all parameters")
    assert (decision, found["pairs"], found["pairs_fail"]) == ("does not hold", 5, 1)  # NEFTune is better on good@2k


def test_shift(rows: list[dict[str, Any]]) -> None:
    expected = {"good@1k": "holds", "good@2k": "holds", "bad@1k": "left out", "same@1k": "undecided"}
    assert decided(rows, "LFT's KL falls more after the first 5% of a sentence than SFT's") == expected
    fall = next(r for r in ours(rows, "LFT's KL falls more after the first 5% of a sentence than SFT's", "effect"))
    assert fall["value"] == pytest.approx(0.6, abs=0.05)  # from 1 to 0.2, and from 1 to 0.8
    assert decided(rows, "SFT shifts more tokens than LFT on the same data") == expected


def test_lengths(rows: list[dict[str, Any]]) -> None:
    nearer = decided(rows, "SFT's answers are nearer in length to the data's than LFT's")
    assert (nearer["good@1k"], nearer["same@1k"]) == ("holds", "undecided")
    says = "SFT on the dataset with longer responses gives longer answers"
    pairs = {
        (r["dataset"], r["against"]): r["decision"]
        for r in rows
        if (r["claim"], r["decided_from"], r["metric"]) == (says, "ours", "effect")
    }
    assert pairs == {
        ("good", "tiny/bad@1k/sft"): "left out",
        ("good", "tiny/same@1k/sft"): "holds",
        ("bad", "tiny/same@1k/sft"): "left out",
    }


def test_what_is_to_improve_tuning(rows: list[dict[str, Any]]) -> None:
    says = "NEFTune and SFT on improved data have no more factuality than LFT"
    (row,) = (r for r in rows if r["claim"] == says and r["decided_from"] == "ours" and r["metric"] == "effect")
    assert (row["decision"], row["method"], row["against"]) == ("does not hold", "nft", "tiny/good@2k/lft")
    says = "NEFTune and SFT on improved data have more factuality than plain SFT"
    assert set(decided(rows, says).values()) == {"holds"}


def test_numbers_stand_beside_decisions(rows: list[dict[str, Any]]) -> None:
    pairs = [r for r in rows if (r["decided_from"], r["scope"], r["judge"]) == ("ours", "pair", "alpha")]
    effects = [r for r in pairs if r["metric"] == "effect"]
    assert {(r["n"], r["n_null"]) for r in effects} == {(N - 1, 1)}
    assert {(r["version"], r["decided_by"]) for r in effects} == {("j@1/prompt 0", "paired test of one training")}
    assert all(r["ci_low"] <= r["value"] <= r["ci_high"] for r in effects)


def test_every_claim_is_a_family_of_its_own(rows: list[dict[str, Any]]) -> None:
    """Holm's p is that of the pairs of one claim that are not left out."""
    pairs = [r for r in rows if (r["decided_from"], r["scope"]) == ("ours", "pair")]
    for group in grouped(pairs, ("claim", "judge")).values():
        tested = [r for r in group if not r["suspect"]]
        p, corrected = ([r["value"] for r in tested if r["metric"] == name] for name in ("p", "p_holm"))
        known = [value for value in p if value is not None]
        if known:
            assert [value for value in corrected if value is not None] == pytest.approx(holm(known), rel=1e-6)


def test_the_page_begins_with_the_answers(rows: list[dict[str, Any]]) -> None:
    page = to_markdown(sections(rows, TABLE), TABLE, [], "make")
    first = page.split("## The answers")[1].split("## Every pair")[0]
    lines = [line for line in first.splitlines() if "LFT has more factuality than SFT" in line]
    assert [line.count("| ours |") for line in lines] == [1, 0]
    assert "| 5 |" not in lines[0]
    assert to_latex(sections(rows, TABLE), TABLE, [], "make")


@pytest.mark.parametrize("preset", ["mini", "small", "paper", "paper-modern"])
def test_every_grid_has_the_table(preset: str) -> None:
    grid = rows_of(preset)
    assert TABLE.fits(grid)
    inputs = TABLE.inputs(grid)
    assert all(path in ("grid.json", *READ) or path.startswith(("cells/", "data/")) for path in inputs)
    assert max(list(TABLES).index(Path(name).stem) for name in READ) < list(TABLES).index(
        "claims"
    )  # partial tables are drawn in this order
    texts = [claim.text for claim in CLAIMS]
    assert len(set(texts)) == len(texts)
    assert {claim.finding for claim in CLAIMS} == {"1", "2", "3", "4", "abstract"}


def test_a_cell_that_is_not_there_is_named(folder: Folder) -> None:
    for method in ("lft", "sft"):
        folder.cell("it@1k", method)
    rows, missing = build("claims", TABLE, folder.path)
    ours = [row for row in rows if row["decided_from"] == "ours"]
    assert {row.get("decision") for row in ours} == {""}
    assert {row["value"] for row in ours if row["metric"] == "pairs"} == {0}
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
