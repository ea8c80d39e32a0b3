"""Effects of pairs of cells, their errors, and the pairs that claims are about."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.core.files import write_csv
from closerlook.paper.pairs import improvements, of_cells, over_base, over_full_tuning, without_half
from closerlook.report.tables.ablation import ABLATION
from closerlook.report.tables.claim_measures import FEWEST, READINGS, bootstrap_effect, effect_of
from closerlook.stats.bootstrap import Estimate, Ratio
from closerlook.stats.effects import Effect, Statement, decide, one_sided
from closerlook.stats.seeds import NORMAL

RNG = np.random.default_rng(5)


def test_bootstrapped_error_is_the_means() -> None:
    sample = RNG.normal(1, 2, (400, 1))
    sample[3] = np.nan
    estimate, error, *_ = bootstrap_effect(sample, np.ones_like(sample), lambda means: means[..., 0])
    kept = sample[np.isfinite(sample)]
    assert estimate.value == pytest.approx(kept.mean())
    assert (estimate.n, estimate.n_null) == (399, 1)
    assert error == pytest.approx(kept.std() / math.sqrt(399), rel=0.06)
    assert estimate.low == pytest.approx(kept.mean() - NORMAL * kept.std() / math.sqrt(399), abs=0.04)
    assert isinstance(estimate, Ratio)
    assert estimate.units
    assert estimate.units.sums == pytest.approx(np.nan_to_num(sample[:, 0]), abs=1e-6), "of a mean, its values"


@settings(deadline=None, max_examples=20)
@given(st.integers(40, 200), st.floats(0.2, 3))
def test_what_instructions_add_is_the_jackknifes(n: int, size: float) -> None:
    """Of a log ratio of two ratios: the delta method and leaving instructions out agree but for terms of the order 1/n."""
    rng = np.random.default_rng(n)
    counts = 1.0 + rng.poisson(6, (n, 2))
    sums = rng.gamma(2, size, (n, 2)) * counts
    estimate = bootstrap_effect(sums, counts, lambda r: np.log(r[..., 0] / r[..., 1])).estimate
    assert isinstance(estimate, Ratio)
    assert estimate.units

    def effect(kept: np.ndarray) -> float:
        ratios = sums[kept].sum(axis=0) / counts[kept].sum(axis=0)
        return float(np.log(ratios[0] / ratios[1]))

    rows = np.arange(n)
    jackknife = np.array([n * effect(rows) - (n - 1) * effect(rows[rows != i]) for i in rows])
    assert np.corrcoef(jackknife, estimate.units.sums)[0, 1] > 0.99
    assert estimate.units.sums.std() == pytest.approx(jackknife.std(), rel=0.1)


def test_no_response_at_all() -> None:
    none = np.zeros((0, 1))
    assert bootstrap_effect(none, none, lambda means: means[..., 0])[:2] == (Estimate(None), None)
    empty = np.zeros((5, 2))  # five empty responses: no token, no KL
    estimate, error, *_ = bootstrap_effect(empty, empty, lambda means: 1 - means[..., 1] / means[..., 0])
    assert (estimate.value, error, estimate.n_null) == (None, None, 5)


def test_too_few_decide_nothing() -> None:
    """However alike they are: two instructions, or two spans of one of two cells among hundreds of instructions."""
    one = np.ones((FEWEST - 1, 1))
    effect = bootstrap_effect(one, one, lambda means: means[..., 0], 4.0)
    assert (effect.estimate.value, effect.estimate.n, effect.error) == (1.0, FEWEST - 1, None)
    assert decide(one_sided(effect, Statement()), None) == "undecided"
    assert bootstrap_effect(np.ones((FEWEST, 1)), np.ones((FEWEST, 1)), lambda means: means[..., 0]).error == 0
    spans = np.ones((300, 2))
    spans[2:, 1] = 0
    effect = bootstrap_effect(spans * [1, 0], spans, lambda means: means[..., 0] - means[..., 1])
    assert (effect.estimate.value, effect.estimate.n, effect.error) == (1.0, 300, None)
    assert effect_of(Estimate(0.1, 0.0, 0.2, 100), enough=False).error is None


def test_an_error_is_that_of_the_interval() -> None:
    effect = effect_of(Estimate(0.1, -0.1, 0.3, 40), enough=True)
    sides = one_sided(effect, Statement("more", -0.1))
    assert sides
    assert sides.supporting == pytest.approx(0.025)  # the interval ends there
    assert effect_of(Estimate(0.0, n=40), enough=True).error == 0  # all items alike: the scale decides


def grid(*cells: tuple[str, int, str]) -> list[dict[str, object]]:
    kept = {"model": "m", "seed": 0, "evalset": "e"}
    return [kept | {"dataset": d, "size": s, "method": m} for d, s, m in cells]


def test_neftune_is_compared_on_the_same_data() -> None:
    """Not with the largest subset that the plain method was used on, which improved data are compared with."""
    cells = [("alpaca", 1, "nft"), ("alpaca", 1, "sft"), ("alpaca", 9, "sft"), ("alpagasus", 2, "sft")]
    found = [
        tuple((row["dataset"], row["size"], row["method"]) for row in pair)
        for pair in improvements("sft")(grid(*cells))
    ]
    assert found == [(cells[0], cells[1]), (cells[3], cells[2])]
    assert not list(improvements("lft")(grid(*cells)))


def test_lft_is_compared_with_all_that_tunes_all_parameters() -> None:
    cells = [
        ("alpaca", 1, "lft"),
        ("alpaca", 1, "nft"),
        ("alpaca", 1, "sft"),
        ("alpaca", 9, "lft"),
        ("alpagasus", 2, "sft"),
    ]
    found = [(pair[0]["size"], pair[1]["dataset"], pair[1]["method"]) for pair in over_full_tuning(grid(*cells))]
    assert found == [(1, "alpaca", "sft"), (1, "alpaca", "nft"), (9, "alpagasus", "sft")]


def test_the_causal_tests_answer_is_the_claims(tmp_path: Path) -> None:
    """If it has a p, so several trainings of both kinds; n may be small, since its interval is that of a t test."""
    row = {"cell": "m/it/sft", "evalset": "e", "judge": "oracle"}
    blank = dict.fromkeys(ABLATION.columns, "") | {"evalset": "e", "spans_of": "m/it/sft", "marker": "oracle"}
    blank |= {"side": "similar - half", "said_by": "any", "ci_low": None, "ci_high": None, "n": 15, "n_null": 0}
    found = blank | {"metric": "returned", "value": 0.3, "ci_low": 0.1, "ci_high": 0.5}
    others = [found | {"said_by": "own", "value": 0.9}, found | {"side": "similar - traced"}, found | {"evalset": "x"}]
    for p, sides in ((0.006, True), (None, False)):
        write_csv([*others, found, blank | {"metric": "p", "value": p}], ABLATION.columns, tmp_path / "ablation.csv")
        effect = READINGS["cause"].take(row, tmp_path / "ablation.csv")
        assert effect.estimate == Estimate(0.3, 0.1, 0.5, 15)
        assert bool(one_sided(effect, Statement())) is sides
    at_end = one_sided(effect_of(effect.estimate, enough=True), Statement("more", 0.1))
    assert at_end
    assert at_end.supporting == pytest.approx(0.025)
    write_csv(others, ABLATION.columns, tmp_path / "ablation.csv")
    assert READINGS["cause"].take(row, tmp_path / "ablation.csv") == Effect(Estimate(None))


def test_the_causal_test_is_one_pair_whatever_its_seeds() -> None:
    rows = [
        {"cell": f"m/it/{name}", "method": name, "evalset": "e", "ablated": ""} for name in ("sft", "lft", "sft-s1")
    ]
    arm = {"cell": "m/half/sft", "method": "sft", "evalset": "e", "ablated": "half", "ablation_of": "m/it/sft"}
    arms = [arm | {"cell": f"m/half/sft-s{seed}", "ablation_marker": "oracle"} for seed in range(3)]
    other = arms[0] | {"ablated": "similar"}
    (pair,) = without_half("sft")([*rows, *arms, other])
    assert (pair[0]["cell"], pair[1]["ablated"]) == ("m/it/sft", "half")
    assert not list(without_half("lft")([*rows, *arms]))


def test_the_base_model_is_that_of_the_same_evalset() -> None:
    rows = [*grid(("alpaca", 1, "sft")), *grid(("", 0, "base")), {**grid(("", 0, "base"))[0], "evalset": "other"}]
    (pair,) = over_base("sft")(rows)
    assert (pair[1]["method"], pair[1]["evalset"]) == ("base", "e")
    twice = [row | {"cell": row["method"]} for row in rows]
    twice += [{**twice[0], "evalset": "other"}]
    assert len(list(over_base("sft")(twice))) == 2
    assert [(row["cell"], row["evalset"]) for row, _ in of_cells(over_base("sft"))(twice)] == [("sft", "")]
    assert not list(over_base("sft")([*rows[:1], rows[2], {**rows[1], "model": "n"}]))
