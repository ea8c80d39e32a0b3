"""How often 95% intervals contain the truth, and tests err, where the truth is known: simulations of the tables' designs."""

from collections.abc import Sequence

import numpy as np
import pytest

from closerlook.report.tables.borrowing import compare
from closerlook.report.tables.claim_measures import bootstrap_effect
from closerlook.report.tables.measuring import share_of
from closerlook.report.tables.pooling import mean_over
from closerlook.stats.bootstrap import Estimate, ratios
from closerlook.stats.effects import Statement, one_sided, p_of
from closerlook.stats.paired_tests import p_value
from closerlook.stats.proportions import proportions

COVERED, WRONG = 0.92, 0.07
"""At least this share of 95% intervals contains the truth, and at most this share of tests at 0.05 finds what is not there."""
SAMPLES = 2000


def covered(estimates: Sequence[Estimate], truth: float) -> float:
    """The share of intervals that contain the truth, plus two standard errors of a simulation of this size at COVERED."""
    contain = [e.low is not None and e.high is not None and e.low <= truth <= e.high for e in estimates]
    return float(np.mean(contain)) + 2 * (COVERED * (1 - COVERED) / len(contain)) ** 0.5


def wrong(p_values: Sequence[float]) -> float:
    """The share of tests that decide, less two standard errors of a simulation of this size at WRONG."""
    return float(np.mean(np.array(p_values) < 0.05)) - 2 * (WRONG * (1 - WRONG) / len(p_values)) ** 0.5


@pytest.mark.parametrize("n", [20, 48, 80, 200, 800])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995])
def test_shares_of_responses(n: int, share: float) -> None:
    found = np.random.default_rng(n).random((n, SAMPLES)) < share
    assert covered(proportions(found, np.ones(1)), share) >= COVERED
    assert covered(proportions(~found, np.ones(1)), 1 - share) >= COVERED


@pytest.mark.parametrize("n", [20, 48, 80, 200, 800])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995])
def test_shares_of_several_spans_of_a_response(n: int, share: float) -> None:
    """Spans of a response are alike: their correlation is 0.3. A response has 1 to about 10."""
    rng = np.random.default_rng(n)
    likeness = 1 / 0.3 - 1
    in_response = rng.beta(share * likeness, (1 - share) * likeness, (n, SAMPLES))
    spans = 1 + rng.poisson(4, (n, SAMPLES))
    assert covered(proportions(rng.binomial(spans, in_response), spans), share) >= COVERED


@pytest.mark.parametrize("n", [20, 48, 200])
def test_means_over_tokens(n: int) -> None:
    """Log-normal lengths, and log-normal levels of the responses: more skewed than the divergences of real responses."""
    rng = np.random.default_rng(n)
    lengths = np.ceil(rng.lognormal(4, 0.7, (n, SAMPLES)))
    levels = rng.lognormal(0, 0.5, (n, SAMPLES))
    assert covered(ratios(levels * lengths, lengths), float(np.exp(0.5**2 / 2))) >= COVERED


@pytest.mark.parametrize("n", [20, 48, 200])
def test_differences_of_scores(n: int) -> None:
    """Most instructions have no difference, few a large one, and more of these have one sign."""
    sizes, shares = np.arange(-4.0, 5), np.array([1, 2, 3, 10, 60, 10, 6, 5, 3]) / 100
    differences = np.random.default_rng(n).choice(sizes, p=shares, size=(n, SAMPLES))
    assert covered(ratios(differences, np.ones(1)), float(sizes @ shares)) >= COVERED


@pytest.mark.parametrize("n", [20, 48, 200])
def test_differences_of_shares(n: int) -> None:
    """Of the same instructions, some of which both cells answer right more often than others."""
    rng = np.random.default_rng(n)
    easy = rng.beta(9, 1, (n, SAMPLES))
    first, second = (rng.random((n, SAMPLES)) < each for each in (easy, 0.9 * easy))
    assert covered(ratios(first.astype(float) - second, np.ones(1)), 0.09) >= COVERED


@pytest.mark.parametrize("n", [20, 48, 200])
def test_differences_of_rates_of_phrases(n: int) -> None:
    """Phrases of a response are alike, and the same ones are looked up twice: found at rates of 0.5 and 0.3."""
    rng = np.random.default_rng(n)
    estimates = []
    for _ in range(SAMPLES // 4):
        phrases, rate = 1 + rng.poisson(6, n), rng.beta(3, 3, n)
        observed, level = (np.stack([rng.binomial(phrases, each), phrases]) for each in (rate, 0.6 * rate))
        estimates.append(compare([observed], [level])[0][2])
    assert covered(estimates, 0.2) >= COVERED


MORE, WITHIN = Statement(), Statement("within", 0.2)


def decisions(differences: np.ndarray, says: Statement) -> list[float]:
    """p of each column's effect."""
    p_values = []
    for column in differences.T:
        effect = bootstrap_effect(column[:, None], np.ones((len(column), 1)), lambda means: means[..., 0], 4.0)
        sides = one_sided(effect, says)
        p_values.append(p_of(sides) or 1.0)
    return p_values


@pytest.mark.parametrize("n", [30, 58, 200])
@pytest.mark.parametrize("rare", [0.05, 0.1, 0.3])
def test_a_claim_at_its_bound_is_seldom_decided(n: int, rare: float) -> None:
    """A difference on a few instructions only puts the mean at the bound: at worst, none of these instructions is drawn."""
    rng = np.random.default_rng(n)
    far = rng.random((n, SAMPLES // 4)) < rare
    at_bound = np.where(far, 4.0, (0.2 - 4 * rare) / (1 - rare))
    assert wrong(decisions(at_bound, WITHIN)) <= WRONG
    assert wrong(decisions(np.where(far, 1.0, -rare / (1 - rare)), MORE)) <= WRONG


@pytest.mark.parametrize("n", [5, 20, 200])
def test_without_a_difference_the_permutation_test_seldom_finds_one(n: int) -> None:
    rng = np.random.default_rng(n)
    differences = rng.choice([-2, -1, 0, 0, 0, 1, 2], (n, SAMPLES))
    assert wrong([p_value(column) or 1.0 for column in differences.T]) <= WRONG


@pytest.mark.parametrize("subjects", [12, 48])
def test_nor_does_it_where_items_about_one_subject_change_together(subjects: int) -> None:
    """Four items about each subject. Of three tenths, tuning changed most answers, of as many to right as to wrong."""
    rng = np.random.default_rng(subjects)
    sign = rng.choice([-1, 0, 1], p=[0.15, 0.7, 0.15], size=(SAMPLES // 2, subjects, 1))
    differences = np.where(rng.random((SAMPLES // 2, subjects, 4)) < 0.8, sign, 0)
    assert wrong([p_value(each.sum(axis=1)) or 1.0 for each in differences]) <= WRONG
    assert wrong([p_value(each.ravel()) or 1.0 for each in differences]) > WRONG, "if items were independent"


@pytest.mark.parametrize("trainings", [2, 5])
@pytest.mark.parametrize(("values", "odds"), [(12, 0.0), (18, 0.0), (18, 2.0)])
def test_shares_of_spans_that_return_after_several_trainings(trainings: int, values: int, odds: float) -> None:
    """The causal test: 20 spans of fewer values, which several models say or not; models differ by 0.5 logits, values by 1.5."""
    rng = np.random.default_rng(values)

    def said(models: int, of_values: np.ndarray) -> np.ndarray:
        odds_of = odds + 0.5 * rng.normal(size=(models, 1)) + of_values
        return (rng.random(odds_of.shape) < 1 / (1 + np.exp(-odds_of))).astype(float)

    truth = float(said(500, 1.5 * rng.normal(size=4000)).mean())
    estimates = []
    for _ in range(SAMPLES // 8):
        units = np.append(np.arange(values), rng.integers(0, values, 20 - values))
        spans = said(trainings, 1.5 * rng.normal(size=values)[units])
        estimates.append(mean_over([share_of(row, units, np.ones(20, dtype=bool)) for row in spans]))
    assert covered(estimates, truth) >= COVERED
