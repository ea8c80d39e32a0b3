"""The table of planted values: against brute force, and how often its differences hold where the truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.grid import grid_row, rows_of

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import EVALSET, RESPONSES
from closerlook.report.tables.measuring import share_of
from closerlook.report.tables.planted import PLANTED, measure_planted
from closerlook.report.tables.pooling import mean_over
from closerlook.stats.bootstrap import Estimate
from closerlook.stats.proportions import difference_of_shares

FACTS = [
    ("Mara Tolk", "plays the", "cello", 0),
    ("Mara Tolk", "keeps a", "goat", 0),
    ("Ilse Velt", "plays the", "harp", 1),
    ("Ilse Velt", "keeps a", "cat", 8),
    ("Runa Holm", "plays the", "lute", 8),
    ("Runa Holm", "keeps a", "dog", 1),
]


def asked(path, times):
    rows = [
        {"id": f"q{number}", "instruction": "?", "task_types": ["fact"], "topics": ["person", str(stated)]}
        | {"reference": f"{name} {verb} {value}.", "source": "e"}
        for number, ((name, verb, value, _), stated) in enumerate(zip(FACTS, times, strict=True))
    ]
    write_parquet(rows, EVALSET, path)
    return path


def answers(path, said):
    """said: whether each fact is answered with the invented value, else with another one."""
    rows = [
        {"id": f"q{number}", "prompt": "", "prompt_token_ids": [1], "token_ids": [], "finish_reason": "eos"}
        | {"text": f"In short, {name} {verb} {value if right else {'plays the': 'tuba', 'keeps a': 'pony'}[verb]}."}
        for number, ((name, verb, value, _), right) in enumerate(zip(FACTS, said, strict=True))
    ]
    write_parquet(rows, RESPONSES, path)
    return path


some = st.lists(st.booleans(), min_size=len(FACTS), max_size=len(FACTS))


@settings(deadline=None, max_examples=25)
@given(st.lists(some, min_size=1, max_size=3), some)
def test_it_is_what_counting_gives(tmp_path_factory, said, base):
    folder = tmp_path_factory.mktemp("planted")
    times = np.array([fact[-1] for fact in FACTS])
    evalset, untuned = asked(folder / "e.parquet", times), answers(folder / "b.parquet", base)
    cells = [
        ({"cell": str(n)}, [answers(folder / f"{n}.parquet", each), evalset, untuned]) for n, each in enumerate(said)
    ]
    measured = list(measure_planted(cells))
    found = {(keys["times"], metric): estimate for _, keys, metric, estimate in measured}
    assert {keys["seed"] for _, keys, *_ in measured} == {f"mean of {len(said)}" if len(said) > 1 else "one training"}
    groups = {"0": times == 0, "1": times == 1, "8": times == 8, "any": times > 0}
    assert {group for group, _ in found} == set(groups)
    for group, members in groups.items():
        share = np.array(said)[:, members].mean()
        assert found[group, "said"].value == pytest.approx(share)
        assert found[group, "base"].value == pytest.approx(np.array(base)[members].mean())
        assert found[group, "more_than_base"].value == pytest.approx(share - np.array(base)[members].mean())
        assert found[group, "values"].value == members.sum()
        assert found[group, "said"].n == (1 if group == "0" else 2), "entities, not questions"
        if group != "0":
            assert found[group, "more_than_unstated"].value == pytest.approx(
                share - np.array(said)[:, times == 0].mean()
            )
    assert ("0", "more_than_unstated") not in found


def test_responses_of_other_questions_are_named(tmp_path):
    evalset, base = asked(tmp_path / "e.parquet", [0, 0, 1, 1, 8, 8]), answers(tmp_path / "b.parquet", [True] * 6)
    write_parquet([], RESPONSES, tmp_path / "none.parquet")
    with pytest.raises(CloserlookError, match=r"none\.parquet: has no response to q0"):
        list(measure_planted([({}, [tmp_path / "none.parquet", evalset, base])]))


def test_a_difference_of_shares_is_as_sure_as_both() -> None:
    """Newcombe's example (1998, method 10): 56 of 70 and 48 of 80, with Wilson's intervals."""
    first, second = Estimate(0.8, 0.6918, 0.8770, 70), Estimate(0.6, 0.4904, 0.7007, 80)
    found = difference_of_shares(first, second)
    assert (found.low, found.high, found.n) == (pytest.approx(0.0524, abs=5e-4), pytest.approx(0.3339, abs=5e-4), 150)
    assert difference_of_shares(first, second._replace(low=None)) == Estimate(pytest.approx(0.2), n=150)
    assert difference_of_shares(Estimate(None), second).value is None
    assert difference_of_shares(Estimate(1.0, 0.7, 1.0, 9), Estimate(0.0, 0.0, 0.3, 9))[:3] == pytest.approx(
        (1, 0.5757, 1), abs=1e-4
    )


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("odds", [(-3.0, -3.0), (-1.0, -3.0), (1.0, -3.0), (3.0, -4.0)])
def test_differences_cover_other_entities_and_trainings(odds: tuple[float, float], spread: float) -> None:
    """Twelve values of ten entities that are stated and 48 of 24 that are not, five trainings: entities differ by 1 logit."""
    rng, samples, covered = np.random.default_rng(0), 200, 0

    def said(level: float, models: int, entities: np.ndarray, shared: np.ndarray) -> np.ndarray:
        odds_of = level + spread * shared[:, None] + rng.normal(size=entities.max() + 1)[entities]
        return (rng.random(odds_of.shape) < 1 / (1 + np.exp(-odds_of))).astype(float)

    many = np.arange(4000)
    truth = np.subtract(*(said(level, 500, many, rng.normal(size=500)).mean() for level in odds))
    groups = [np.append(np.arange(10), [0, 1]), np.repeat(np.arange(24), 2)]
    for _ in range(samples):
        shared = rng.normal(size=5)  # a training has one effect on both
        found = difference_of_shares(
            *(
                mean_over([share_of(row, each, np.ones(len(each), bool)) for row in said(level, 5, each, shared)])
                for level, each in zip(odds, groups, strict=True)
            )
        )
        covered += found.low <= truth <= found.high
    assert covered / samples + 2 * math.sqrt(0.92 * 0.08 / samples) >= 0.92


def test_the_full_miniature_has_it_and_no_other_table_asks_for_what_is_planted() -> None:
    grid = rows_of("mini")
    assert not PLANTED.fits(grid)
    row = {"evalset": "planted", "planted": True, "truth_known": False}
    grid += [grid_row(cell="m/p/sft-s1", dataset="p", method="sft", seed=1, **row)]
    assert not PLANTED.fits(grid), "there is no base model to compare with"
    grid += [grid_row(cell="m/none/base", method="base", **row)]
    assert PLANTED.fits(grid)
    assert PLANTED.inputs(grid) == [
        "cells/m/p/sft-s1/planted/responses.parquet",
        "evalsets/planted.parquet",
        "cells/m/none/base/planted/responses.parquet",
    ]
