"""The claims table: on synthetic cells whose truth is known, on the paper's own numbers, and what it reads."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.support import REPOSITORY
from tests.support.synthetic import Folder, random_responses, shift_row

from closerlook.config.load import read
from closerlook.core.files import write_csv, write_parquet
from closerlook.core.schemas import BORROWING, INSTANCES, RESPONSES, SHIFT, VERDICTS
from closerlook.judge.aspects import ASPECTS
from closerlook.paper.claims import CLAIMS, Claim, improvements, same_data, single_cells
from closerlook.report.tables.build import build
from closerlook.report.tables.claim_effects import FEWEST, HALF_WIDTH, NORMAL, Effect, _bootstrapped
from closerlook.report.tables.claims import CLAIMS_DECIDED, _decision, _sides, comparisons
from closerlook.report.tables.draw import to_latex, to_markdown
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.tidy import write_csv as write_table
from closerlook.report.tables.wide import sections
from closerlook.stats.bootstrap import Estimate

TABLE = CLAIMS_DECIDED
N = 200
RNG = np.random.default_rng(5)


def verdicts(level: np.ndarray, path: Path) -> None:
    """Every aspect at these levels, which are rounded to scores; the eighth response has none."""
    rows = []
    for i, score in enumerate(np.clip(np.rint(level), 1, 5).astype(int).tolist()):
        known = {"score": None, "null_cause": "refused"} if i == 7 else {"score": score, "null_cause": None}
        rows += [{"id": str(i), "aspect": a, "reason": None, "judge": "j@1/prompt 0"} | known for a in ASPECTS]
    write_parquet(rows, VERDICTS, path)


def shift(first: float, rest: float, shifted: float, path: Path) -> None:
    rows = []
    for i in range(N):
        length = int(RNG.integers(15, 20))  # one first token, and the rest
        kl = [first, *[rest] * (length - 1)]
        ranks = np.where(RNG.random(length) < shifted, 9, 1).tolist()
        noisy = (np.array(kl) * RNG.uniform(0.8, 1.2, length)).tolist()
        places = {"sentence_token": list(range(length)), "sentence_length": [length] * length}
        rows.append(shift_row(str(i), token_ids=[1] * length, kl_base_tuned=noisy, base_rank=ranks, **places))
    write_parquet(rows, SHIFT, path)


def answers(mean: float, path: Path) -> None:
    row = random_responses(0, 1)[0]
    texts = {str(i): "x" * int(n) for i, n in enumerate(RNG.poisson(mean, N))}
    write_parquet([row | {"id": id_, "text": text} for id_, text in texts.items()], RESPONSES, path)


def data(mean: int, path: Path) -> None:
    row = {"instruction": "?", "response": "x" * mean, "source": "it"}
    write_parquet([row | {"id": str(i), "row": i} for i in range(20)], INSTANCES, path)


def borrowed(share: float, chance: float, subset: str, path: Path) -> None:
    """One span in each response but the first; counts of other units, n-grams, places and chance levels must not be read."""
    rows = []
    for i in range(1, N):
        one = {"id": str(i), "searched": subset, "unit": "span:oracle", "ngram": 0, "where": "all", "null": "observed"}
        rows.append(one | {"found": int(RNG.random() < share), "phrases": 1})
        rows.append(one | {"null": "matched", "found": int(RNG.random() < chance), "phrases": 1})
        for other in (
            {"unit": "shifted"},
            {"ngram": 1},
            {"where": "similar"},
            {"null": "unrelated"},
            {"searched": "x"},
        ):
            rows.append(one | other | {"found": 5, "phrases": 5})
    write_parquet(rows, BORROWING, path)


def broken(cells: list[str], folder: Folder) -> None:
    """The table collapse, which says it of these cells."""
    table = TABLES["collapse"]
    blank = dict.fromkeys(table.columns, "") | {"ci_low": None, "ci_high": None, "n": N, "n_null": 0}
    told = [blank | {k: v for k, v in row.items() if k in table.columns} for row in folder.rows]
    values = [float(row["cell"] in cells) for row in folder.rows]
    rows = [row | {"metric": "collapsed", "value": value} for row, value in zip(told, values, strict=True)]
    rows += [row | {"metric": "repetitive", "value": 0.4} for row in told]
    write_table(rows, table, folder.path / "tables/collapse.csv")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """LFT better than SFT, which shifts more and copies lengths; on `bad` the other way round; `same` are twins."""
    folder = Folder(tmp_path_factory.mktemp("claims"))
    levels = RNG.normal(3, 0.7, N)
    cells = {
        # dataset@size, method: (mean score above, KL first, KL rest, share shifted, mean length)
        ("good@1k", "lft"): (0.8, 1.0, 0.2, 0.05, 60),
        ("good@1k", "sft"): (0.0, 1.0, 0.8, 0.30, 100),
        ("good@2k", "lft"): (0.8, 1.0, 0.2, 0.05, 60),
        ("good@2k", "sft"): (0.0, 1.0, 0.8, 0.30, 100),
        ("bad@1k", "lft"): (-0.8, 1.0, 0.8, 0.30, 20),
        ("bad@1k", "sft"): (0.0, 1.0, 0.2, 0.05, 90),
        ("bad@2k", "lft"): (0.4, 1.0, 0.8, 0.30, 30),
        ("same@1k", "lft"): (0.0, 1.0, 0.5, 0.10, 50),
        ("same@1k", "sft"): (0.0, 1.0, 0.5, 0.10, 50),
        ("good@2k", "nft"): (1.9, 1.0, 0.8, 0.30, 100),
    }
    grid = []
    for (subset, method), (score, first, rest, shifted, length) in cells.items():
        path = folder.cell(subset, method)
        noise = RNG.normal(0, 0.4, N)
        verdicts(levels + score + noise, path / "verdicts/alpha.parquet")
        shift(first, rest, shifted, path / "shift.parquet")
        answers(length, path / "responses.parquet")
        chance = shifted + 0.4 if subset == "good@2k" else 0.05  # there it explains all
        borrowed(shifted + 0.4, chance, subset, path / "borrowing.parquet")
    for name, mean in {"good@1k": 100, "good@2k": 100, "bad@1k": 20, "bad@2k": 20, "same@1k": 50}.items():
        data(mean, folder.path / f"data/{name}.parquet")
    traced = {"markers": "oracle", "original": "", "judges": "alpha"}
    grid = [row | traced | {"searched": str(row["cell"]).split("/")[1]} for row in folder.rows]
    write_csv(grid, folder.path / "grid.csv")
    broken(["tiny/bad@1k/sft"], folder)
    found, missing = build("claims", TABLE, folder.path)
    assert not missing
    write_table(found, TABLE, folder.path / "tables/claims.csv")
    return read_csv(folder.path / "tables/claims.csv", TABLE)


def decided(rows: list[dict[str, Any]], says: str, **where: Any) -> dict[str, str]:
    """Decisions of ours by dataset@size."""
    chosen = [r for r in rows if r["claim"] == says and r["decided_from"] == "ours" and r["metric"] == "effect"]
    chosen = [r for r in chosen if all(r[key] == value for key, value in where.items())]
    return {f"{r['dataset']}@{int(r['size']) // 1000}k": r["decision"] for r in chosen}


def test_cells_of_the_causal_test_decide_no_claim() -> None:
    row = {"cell": "m/cut@1k/lft", "model": "m", "dataset": "cut", "size": "1000", "method": "lft", "seed": "0"}
    row |= {"evalset": "e", "judges": "j", "searched": "", "markers": ""}
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
        "same@1k": "undecided",
    }


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


# ----------------------------------------------------------------------------------------------------- the paper's numbers


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


# ------------------------------------------------------------------------------------------------------------ statistics

MORE = Claim("x", "3", "score", "more", same_data("lft", "sft"))
LESS = Claim("x", "3", "kl_fall", "less", single_cells("lft"), 0.5)
WITHIN = Claim("x", "3", "score", "within", same_data("lft", "sft"), 0.2)


def effect(value: float | None, error: float | None, n: int = 100) -> Effect:
    return Effect(Estimate(value, n=n), error, "paired test")


def test_sides_are_one_sided_t_tests() -> None:
    sample = RNG.normal(0.2, 1, 50)
    one = effect(float(sample.mean()), float(sample.std(ddof=1) / math.sqrt(50)), 50)
    greater = stats.ttest_1samp(sample, 0.0, alternative="greater").pvalue
    sides = _sides(one, MORE)
    assert sides == pytest.approx((greater, 1 - greater))
    assert _sides(effect(0.5, 0.1), LESS) == pytest.approx((0.5, 0.5))
    inside = max(
        stats.ttest_1samp(sample, -0.2, alternative="greater").pvalue,
        stats.ttest_1samp(sample, 0.2, alternative="less").pvalue,
    )
    tost = _sides(one, WITHIN)
    assert tost
    assert tost[0] == pytest.approx(inside)


def test_nothing_to_test_is_undecided() -> None:
    for one in (effect(None, None, 0), effect(0.3, None, 1), effect(0.3, 0.1, 1)):
        assert _sides(one, MORE) is None
        assert _decision(one, MORE, None, None) == "undecided"
    assert _sides(effect(0.0, 0.0), MORE) == (0.5, 0.5)  # twins: no difference at all
    assert _sides(effect(0.1, 0.0, 40), MORE) == (0.5**40, 1 - 0.5**40)  # all 40 agree: a sign test's p, which is not 0
    assert _sides(effect(0.1, 0.0, 40), WITHIN) == (0.5**40, 1 - 0.5**40)


@settings(deadline=None, max_examples=60)
@given(st.floats(-2, 2), st.floats(1e-3, 1), st.integers(2, 1000), st.sampled_from([MORE, LESS, WITHIN]))
def test_sides_agree_with_the_number(value: float, error: float, n: int, claim: Claim) -> None:
    """What is likelier than its opposite is what the number itself says."""
    for_, against = _sides(effect(value, error, n), claim) or (0, 0)
    inside = {"more": value > claim.bound, "less": value < claim.bound, "within": abs(value) < claim.bound}[claim.sense]
    assert 0 <= for_ <= 1
    assert 0 <= against <= 1
    if min(for_, against) < 0.05:
        assert (for_ < against) is inside


def test_bootstrapped_error_is_the_means() -> None:
    sample = RNG.normal(1, 2, (400, 1))
    sample[3] = np.nan
    estimate, error = _bootstrapped(sample, np.ones_like(sample), lambda means: means[..., 0])
    kept = sample[np.isfinite(sample)]
    assert estimate.value == pytest.approx(kept.mean())
    assert (estimate.n, estimate.n_null) == (399, 1)
    assert error == pytest.approx(kept.std() / math.sqrt(399), rel=0.06)
    assert estimate.low == pytest.approx(kept.mean() - NORMAL * kept.std() / math.sqrt(399), abs=0.04)


def test_no_response_at_all() -> None:
    none = np.zeros((0, 1))
    assert _bootstrapped(none, none, lambda means: means[..., 0]) == (Estimate(None), None)
    empty = np.zeros((5, 2))  # five empty responses: no token, no KL
    estimate, error = _bootstrapped(empty, empty, lambda means: 1 - means[..., 1] / means[..., 0])
    assert (estimate.value, error, estimate.n_null) == (None, None, 5)


def test_too_few_decide_nothing() -> None:
    """However alike they are: two instructions, or two spans of one of two cells among hundreds of instructions."""
    one = np.ones((FEWEST - 1, 1))
    estimate, error = _bootstrapped(one, one, lambda means: means[..., 0])
    assert (estimate.value, estimate.n, error) == (1.0, FEWEST - 1, None)
    assert _decision(Effect(estimate, error, "paired test"), MORE, None, None) == "undecided"
    assert _bootstrapped(np.ones((FEWEST, 1)), np.ones((FEWEST, 1)), lambda means: means[..., 0])[1] == 0
    spans = np.ones((300, 2))
    spans[2:, 1] = 0
    estimate, error = _bootstrapped(spans * [1, 0], spans, lambda means: means[..., 0] - means[..., 1])
    assert (estimate.value, estimate.n, error) == (1.0, 300, None)


def test_neftune_is_compared_on_the_same_data() -> None:
    """Not with the largest subset that the plain method was used on, which improved data are compared with."""
    kept = {"model": "m", "seed": 0, "evalset": "e"}
    cells = [("alpaca", 1, "nft"), ("alpaca", 1, "sft"), ("alpaca", 9, "sft"), ("alpagasus", 2, "sft")]
    grid = [kept | {"dataset": d, "size": s, "method": m} for d, s, m in cells]
    found = [
        tuple((row["dataset"], row["size"], row["method"]) for row in pair)
        for pair in improvements("sft", first=True)(grid)
    ]
    assert found == [(cells[0], cells[1]), (cells[3], cells[2])]
    assert not list(improvements("lft", first=False)(grid))


# ------------------------------------------------------------------------------------------------------------------ inputs


@pytest.mark.parametrize("preset", ["mini", "small", "paper", "paper-modern"])
def test_every_grid_has_the_table(preset: str) -> None:
    configuration = read(f"config/{preset}.yaml", REPOSITORY)
    assert TABLE.fits(configuration.rows)
    inputs = TABLE.inputs(configuration.rows)
    assert all(path in ("grid.csv", "tables/collapse.csv") or path.startswith(("cells/", "data/")) for path in inputs)
    assert list(TABLES).index("collapse") < list(TABLES).index("claims")  # partial tables are drawn in this order
    says = [claim.says for claim in CLAIMS]
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
    write_table(rows, TABLE, folder.path / "claims.csv")
    page = to_markdown(sections(read_csv(folder.path / "claims.csv", TABLE), TABLE), TABLE, missing, "make")
    assert "no data" in page
