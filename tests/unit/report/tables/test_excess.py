"""The excess over chance: counted by hand, an exact p, and intervals that cover what they claim to where the truth is known."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closerlook.core.files import write_parquet
from closerlook.core.schemas import BORROWING
from closerlook.report.tables.borrowing import measure_over_base
from closerlook.report.tables.excess import HIGHEST_LEVEL, PartRates, exact_p, measure_excess
from closerlook.stats.bootstrap import Estimate


def counts(found: list[list[int]], phrases: list[int]) -> np.ndarray:
    """[parts, 2, responses] from found [parts][responses] and phrases [responses]."""
    return np.array([[of_part, phrases] for of_part in found])


def excess(tuned: np.ndarray, held_out: np.ndarray) -> dict[str, Estimate]:
    """With p of the same parts."""
    return measure_excess(tuned, held_out, tuned, held_out)


def test_rates_are_means_over_parts_and_p_is_a_rank() -> None:
    phrases = [4, 0, 6]
    tuned, held_out = counts([[3, 0, 5]], phrases), counts([[1, 0, 3], [2, 0, 1], [2, 0, 6]], phrases)
    found = excess(tuned, held_out)
    assert found["observed"].value == pytest.approx(0.8)
    assert found["level"].value == pytest.approx((0.4 + 0.3 + 0.8) / 3)
    assert found["difference"].value == pytest.approx(0.3)
    assert found["corrected"].value == pytest.approx(0.3 / 0.5)
    assert found["p"].value == 2 / 4, "a tie counts against the effect"
    assert found["draws"].value == 3
    assert {(e.n, e.n_null) for name, e in found.items() if name != "draws"} == {(2, 1)}
    reverse = excess(held_out, tuned)
    assert reverse["difference"].value == pytest.approx(-0.3)
    assert reverse["p"].value == 1, "the single part that was held out has the highest rate"
    assert excess(counts([[1, 1]], [1, 1]), counts([[0, 0]], [1, 1]))["p"].value == 1 / 2
    assert excess(counts([[0, 0]], [0, 0]), counts([[0, 0]], [0, 0])) == {}


def test_nothing_is_corrected_where_chance_finds_nearly_all_and_nothing_that_does_not_vary_has_an_interval() -> None:
    phrases = [10] * 5
    high = counts([[9] * 5] * 3, phrases)
    found = excess(counts([[10] * 5], phrases), high)
    assert found["level"].value > HIGHEST_LEVEL
    assert found["corrected"].value is None
    assert found["difference"].value == pytest.approx(0.1)
    assert (found["difference"].low, found["difference"].high) == (None, None)
    alone = excess(counts([[3]], [4]), counts([[1], [2]], [4]))
    assert (alone["difference"].low, alone["difference"].n) == (None, 1)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5), st.lists(st.integers(0, 5), min_size=1, max_size=5))
def test_p_is_the_share_of_choices_of_parts_that_are_as_extreme(tuned: list[int], held_out: list[int]) -> None:
    """Against every order of the parts, most of which choose the same ones."""
    found, observed = [*tuned, *held_out], np.mean(tuned) - np.mean(held_out)
    if len(found) > 7:
        found = found[:7]
        tuned, held_out = found[: min(len(tuned), 6)], found[min(len(tuned), 6) :]
        observed = np.mean(tuned) - np.mean(held_out)
    a = len(tuned)
    orders = np.array(list(itertools.permutations(found)))
    extreme = orders[:, :a].mean(axis=1) - orders[:, a:].mean(axis=1) >= observed - 1e-9
    assert exact_p(np.array(tuned), np.array(held_out)) == pytest.approx(extreme.mean())


@pytest.mark.parametrize(("a", "b"), [(5, 15), (5, 25), (25, 5)])
def test_p_of_small_parts_is_exact_and_decides(a: int, b: int) -> None:
    """2,000 repeats without an effect: at most 5% below 0.05, 6.2% with a probability of 0.01. With one, nearly all."""
    generator = np.random.default_rng([a, b])

    def ps(effect: float, repeats: int) -> np.ndarray:
        rates = 0.3 + generator.normal(0, 0.05, (repeats, a + b)) + effect * (np.arange(a + b) < a)
        found = generator.binomial(200, np.clip(rates, 0, 1))
        return np.array([exact_p(row[:a], row[a:]) for row in found])

    assert np.mean(ps(0.0, 2000) <= 0.05) <= 0.062
    assert np.mean(ps(0.15, 50) <= 0.01) >= 0.9


def draw(
    generator: np.random.Generator, a: int, b: int, responses: int, effect: float, spread: tuple[float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of a crossed design: rates vary by response, by part, and by both; responses borrow differently much."""
    of_response, of_part, heterogeneity = spread
    phrases = generator.integers(1, 20, responses)
    base = generator.normal(0.4, of_response, responses) + generator.normal(0, of_part, (a + b, 1))
    gain = np.where(np.arange(a + b) < a, 1, 0)[:, None] * generator.normal(effect, heterogeneity, responses)
    found = generator.binomial(phrases, np.clip(base + gain, 0, 1))
    both = np.stack([found, np.broadcast_to(phrases, found.shape)], axis=1)
    return both[:a], both[a:]


@pytest.mark.parametrize(("a", "b"), [(1, 20), (1, 3), (9, 1)])
@pytest.mark.parametrize(
    "spread",
    [(0.1, 0.0, 0.0), (0.1, 0.03, 0.0), (0.1, 0.0, 0.2), (0.1, 0.03, 0.2)],
    ids=["noise", "parts", "gains", "both"],
)
def test_intervals_cover_the_truth(a: int, b: int, spread: tuple[float, float, float]) -> None:
    """500 repeats: a true coverage of 95% gives less than 92% with a probability of 0.002. Above 99%, they would be too wide.

    Of three parts, the variance has two degrees of freedom; mixed with that of responses, Satterthwaite's t is then a bit short.
    """
    generator = np.random.default_rng([a, b])
    hits = []
    for _ in range(500):
        estimate = PartRates.of(*draw(generator, a, b, 100, 0.1, spread)).difference(0)
        hits.append(estimate.low <= 0.1 <= estimate.high)
    assert (0.9 if b == 3 else 0.92) <= np.mean(hits) <= 0.99


def test_an_interval_over_responses_alone_would_not() -> None:
    """Where parts vary, the bootstrap over responses that other comparisons have covers far too little."""
    generator = np.random.default_rng(0)
    hits = []
    for _ in range(300):
        tuned, held_out = draw(generator, 1, 20, 400, 0.0, (0.1, 0.03, 0.0))
        parts = PartRates.of(tuned, held_out)
        error = np.sqrt(np.square(parts.influence[0] - parts.influence[1:].mean(axis=0)).sum())
        hits.append(abs(parts.rates[0] - parts.rates[1:].mean()) <= 1.96 * error)
    assert np.mean(hits) < 0.85


def rows(parts: dict[str, np.ndarray], ids: list[str], unit: str = "span:m") -> list[dict[str, object]]:
    key = {"searched": "own", "unit": unit, "where": "all", "ngram": 0}
    everything = {"observed": parts["tuned_on"][:1]} | parts
    return [
        key | {"id": id_, "null": null, "draw": draw, "found": int(found), "phrases": int(phrases)}
        for null, draws in everything.items()
        for draw, (all_found, all_phrases) in enumerate(draws)
        for id_, found, phrases in zip(ids, all_found, all_phrases, strict=True)
        if null == "observed" or phrases
    ]


def test_over_base_pairs_responses_and_parts(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    tuned, held_out = draw(generator, 1, 5, 40, 0.2, (0.1, 0.05, 0.0))
    ids = [f"q{i}" for i in range(40)]
    same, base = tmp_path / "tuned.parquet", tmp_path / "base.parquet"
    write_parquet(rows({"tuned_on": tuned, "held_out": held_out}, ids), BORROWING, same)
    order = generator.permutation(40)
    shuffled = {"tuned_on": tuned[:, :, order], "held_out": held_out[:, :, order]}
    write_parquet(rows(shuffled, [ids[i] for i in order]), BORROWING, base)
    ((keys, name, nothing),) = measure_over_base(same, base)
    assert (keys["null"], name) == ("held_out", "difference_over_base")
    assert nothing.value == pytest.approx(0, abs=1e-12)  # rounding alone
    assert nothing.low == nothing.high is None or abs(nothing.low) < 1e-9, (
        "the same responses in any order differ by nothing"
    )

    other_tuned, other_held_out = draw(generator, 1, 5, 40, 0.0, (0.1, 0.05, 0.0))
    other_tuned[:, :, :5] = other_held_out[:, :, :5] = 0  # the base model has no spans there
    write_parquet(rows({"tuned_on": other_tuned, "held_out": other_held_out}, ids), BORROWING, base)
    ((_, _, more),) = measure_over_base(same, base)
    each = [excess(*pair)["difference"].value for pair in ((tuned, held_out), (other_tuned, other_held_out))]
    assert more.value == pytest.approx(each[0] - each[1])
    assert more.low < more.value < more.high
    assert (more.n, more.n_null) == (40, 0)

    write_parquet(rows({"tuned_on": tuned, "held_out": held_out}, ids, "shifted"), BORROWING, same)
    assert not list(measure_over_base(same, base)), "a base model has no shifted words"


def test_draws_that_both_cells_share_cancel() -> None:
    """A part in which anything is found more often says nothing of who borrowed."""
    generator = np.random.default_rng(2)
    shared = generator.normal(0, 0.1, (6, 1))
    cells = []
    for effect in (0.2, 0.0):
        phrases = np.full(200, 20)
        gain = np.where(np.arange(6) == 0, effect, 0)[:, None]
        found = generator.binomial(phrases, np.clip(0.4 + shared + gain, 0, 1) * np.ones(200))
        cells.append(PartRates.of(*np.split(np.stack([found, np.broadcast_to(phrases, found.shape)], axis=1), [1])))
    own, over_base = cells[0].difference(0), cells[0].minus(cells[1]).difference(0)
    assert over_base.low <= 0.2 <= over_base.high
    assert over_base.high - over_base.low < (own.high - own.low) / 3


def test_every_order_of_parts_is_as_likely_as_p_says() -> None:
    """Over all permutations of exchangeable parts without ties, p is uniform."""
    ps = []
    for order in itertools.permutations(range(5)):
        parts = counts([[number] for number in order], [5])
        ps.append(excess(parts[:1], parts[1:])["p"].value)
    assert sorted(set(ps)) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(ps.count(value) == 24 for value in set(ps))
