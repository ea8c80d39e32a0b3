"""Tests of effects against scipy's, their power and coverage by simulation, and where nothing can be decided."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from closerlook.stats.bootstrap import Estimate, Ratio
from closerlook.stats.effects import Effect, Statement, decide, decide_share, one_sided, p_of, pool_effects, power

RNG = np.random.default_rng(5)
MORE, LESS, WITHIN = Statement(), Statement("less", 0.5), Statement("within", 0.2)


def effect(value: float | None, error: float | None, n: int = 100, scale: float | None = 4.0) -> Effect:
    return Effect(Estimate(value, n=n), error, scale)


def of_sample(sample: np.ndarray) -> Effect:
    """The mean of a sample, with the units that several of them are pooled by."""
    mean, n = float(sample.mean()), len(sample)
    error = float(sample.std(ddof=1)) / math.sqrt(n)
    half = float(stats.t.ppf(0.975, n - 1)) * error
    return Effect(Ratio.of(Estimate(mean, mean - half, mean + half, n), sample, np.ones(n)), error)


def test_sides_are_one_sided_t_tests() -> None:
    sample = RNG.normal(0.2, 1, 50)
    one = of_sample(sample)
    greater = stats.ttest_1samp(sample, 0.0, alternative="greater").pvalue
    sides = one_sided(one, MORE)
    assert sides == pytest.approx((greater, 1 - greater))
    assert p_of(sides) == pytest.approx(stats.ttest_1samp(sample, 0).pvalue)
    assert one_sided(effect(0.5, 0.1), LESS) == pytest.approx((0.5, 0.5))
    inside = max(
        stats.ttest_1samp(sample, -0.2, alternative="greater").pvalue,
        stats.ttest_1samp(sample, 0.2, alternative="less").pvalue,
    )
    equivalence = one_sided(one, WITHIN)
    assert equivalence
    assert equivalence.supporting == pytest.approx(inside)
    assert p_of(equivalence) == pytest.approx(2 * min(inside, equivalence.opposing))


def test_nothing_to_test_is_undecided() -> None:
    for one in (effect(None, None, 0), effect(0.3, None, 1), effect(0.3, 0.1, 1)):
        assert one_sided(one, MORE) is None
        assert decide(one_sided(one, MORE), None) == "undecided"
    assert one_sided(effect(0.0, 0.0, scale=None), LESS) is None  # no scale says how far off a fall may be


@pytest.mark.parametrize(("says", "value", "bound", "end"), [(MORE, 1.0, 0.0, -4.0), (WITHIN, 0.0, 0.2, 4.0)])
@pytest.mark.parametrize("n", [30, 58, 200])
def test_where_all_scores_agree_the_bound_is_exact(
    says: Statement, value: float, bound: float, end: float, n: int
) -> None:
    """The worst case: as many instructions as the bound allows differ by the whole scale, and none of them was drawn."""
    share = (bound - value) / (end - value)
    assert value + share * (end - value) == pytest.approx(bound)
    sides = one_sided(effect(value, 0.0, n), says)
    assert sides == pytest.approx(((1 - share) ** n, 1))
    if says is WITHIN:
        assert (sides.supporting < 0.05) is (n > 58)  # 5% of the answers may differ by 4 points


def test_where_all_scores_agree_with_the_bound_nothing_is_shown() -> None:
    assert one_sided(effect(0.0, 0.0), MORE) == (1, 1)  # twins: no difference at all
    assert one_sided(effect(-1.0, 0.0, 40), MORE) == (1, pytest.approx((4 / 5) ** 40))


@settings(deadline=None, max_examples=60)
@given(st.floats(-2, 2), st.floats(1e-3, 1), st.integers(2, 1000), st.sampled_from([MORE, LESS, WITHIN]))
def test_sides_agree_with_the_number(value: float, error: float, n: int, says: Statement) -> None:
    """What is likelier than its opposite is what the number itself says."""
    sides = one_sided(effect(value, error, n), says)
    inside = {"more": value > says.bound, "less": value < says.bound, "within": abs(value) < says.bound}[says.sense]
    assert 0 <= min(sides) <= max(sides) <= 1
    if min(sides) < 0.05:
        assert (sides.supporting < sides.opposing) is inside
        assert decide(sides, p_of(sides)) in ("undecided", "holds" if inside else "does not hold")


@pytest.mark.parametrize("says", [Statement("less", 0.2), WITHIN])
@pytest.mark.parametrize("n", [40, 150])
def test_power_is_how_often_no_effect_is_shown_to_be_small(says: Statement, n: int) -> None:
    samples = RNG.normal(0, 0.9, (1500, n))
    effects = [of_sample(sample) for sample in samples]
    shown = [(sides := one_sided(one, says)) and decide(sides, p_of(sides)) == "holds" for one in effects]
    predicted = np.mean([power(one, says) for one in effects])
    assert np.mean(shown) == pytest.approx(predicted, abs=0.05)
    assert power(effects[0], MORE) is None


@pytest.mark.parametrize("pairs", [2, 4, 13])
@pytest.mark.parametrize("between", [0.0, 0.1, 0.4])
def test_a_mean_over_pairs_covers_other_pairs_and_other_instructions(pairs: int, between: float) -> None:
    """Pairs answer the same 200 instructions, to which they react alike in part; their true effects differ."""
    rng = np.random.default_rng(pairs)
    covered, decided, spreads = 0, 0, []
    for _ in range(400):
        shared = rng.normal(0, 0.7, 200)
        true = 0.2 + rng.normal(0, between, pairs)
        mean = pool_effects([of_sample(mu + shared + rng.normal(0, 0.7, 200)) for mu in true])
        low, high = mean.estimate.low or 0.0, mean.estimate.high or 0.0
        covered += low <= 0.2 <= high
        sides = one_sided(mean, Statement("more", 0.2))
        decided += decide(sides, p_of(sides)) != "undecided"
        spreads.append(mean.pooled.spread if mean.pooled else np.nan)
    assert covered / 400 >= 0.92 - 2 * math.sqrt(0.05 * 0.95 / 400)
    assert decided / 400 <= 0.07 + 2 * math.sqrt(0.05 * 0.95 / 400)
    if pairs == 13:
        assert math.sqrt(np.mean(np.square(spreads))) == pytest.approx(between, abs=0.04), (
            "without the instructions' noise"
        )


def test_means_of_means_are_those_of_their_instructions() -> None:
    """Pooling over trainings, then over pairs, knows what each instruction adds to all of them."""
    shared = RNG.normal(0, 1, 100)
    samples = [[0.3 + shared + RNG.normal(0, 0.1, 100) for _ in range(3)] for _ in range(4)]
    pooled = pool_effects([pool_effects([of_sample(sample) for sample in pair]) for pair in samples])
    mean = np.mean(samples, axis=(0, 1))
    assert pooled.estimate.value == pytest.approx(mean.mean())
    assert pooled.pooled
    assert pooled.pooled.response_variance == pytest.approx(mean.var(ddof=1) / 100)


def test_a_mean_without_the_errors_of_all_decides_nothing() -> None:
    effects = [effect(0.5, 0.1), effect(0.6, None)]
    assert one_sided(pool_effects(effects), MORE) is None
    assert pool_effects(effects[:1]) == effects[0]


def test_a_share_of_pairs() -> None:
    assert decide_share(["holds"] * 9 + ["undecided"], 0.9) == "holds"
    assert decide_share(["holds"] * 8 + ["undecided"] * 2, 0.9) == "undecided"
    assert decide_share(["holds"] * 9 + ["does not hold"], 0.9) == "holds"
    assert decide_share(["holds"] * 8 + ["does not hold"] * 2, 0.9) == "does not hold"
    assert decide_share([], 0.9) == "undecided"
