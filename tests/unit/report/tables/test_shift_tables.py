"""Figure 1's and Figure 4's numbers against plain Python loops."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.synthetic import random_shift, shift_row

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import SHIFT
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.shift import ALIGNTDS, AVERAGED, CLASSES, measure_sentence_parts, measure_shift
from closerlook.stats.bootstrap import Estimate


def measure(rows: list[dict[str, Any]], path: Path, function: Any) -> dict[Any, Estimate]:
    write_parquet(rows, SHIFT, path / "shift.parquet")
    return {(*keys.values(), metric): estimate for keys, metric, estimate in function(path / "shift.parquet")}


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def test_means_are_over_all_tokens(tmp_path: Path) -> None:
    rows = random_shift(3, 60)
    found = measure(rows, tmp_path, measure_shift)
    tokens = sum(len(row["token_ids"]) for row in rows)
    empty = sum(not row["token_ids"] for row in rows)
    assert empty
    for name in (*AVERAGED, *ALIGNTDS):
        # parquet keeps float32: half a unit in the last place, 6e-8
        assert found[(name,)].value == pytest.approx(mean([x for row in rows for x in row[name]]), rel=1e-6)
    for name in CLASSES:
        assert found[(name,)].value == pytest.approx(sum(row["class"].count(name) for row in rows) / tokens, rel=1e-12)
    ranks = [math.log(x) for row in rows for x in row["base_rank"]]
    assert found[("base_rank_geomean",)].value == pytest.approx(math.exp(mean(ranks)), rel=1e-12)
    assert found[("tokens",)] == Estimate(tokens, None, None, len(rows) - empty, empty)
    assert {estimate[3:] for estimate in found.values()} == {(len(rows) - empty, empty)}
    assert {name for (name,) in found} == set(TABLES["shift"].metrics)
    assert sum(found[(name,)].value for name in CLASSES) == pytest.approx(1, abs=1e-12)
    varied = [name for name in found if name != ("tokens",) and found[name].low is not None]
    assert set(varied) >= {(name,) for name in (*CLASSES, "kl_base_tuned", "base_rank", "base_rank_geomean")}
    assert all(found[name].low < found[name].value < found[name].high for name in varied)


def test_first_5_percent_of_each_sentence(tmp_path: Path) -> None:
    rows = random_shift(4, 80)
    rows.append(shift_row("long", kl_base_tuned=[1.0] * 60, sentence_token=list(range(60)), sentence_length=[60] * 60))
    found = measure(rows, tmp_path, measure_sentence_parts)
    parts: dict[str, list[float]] = {"first_5pct": [], "last_95pct": []}
    for row in rows:
        for value, token, length in zip(
            row["kl_base_tuned"], row["sentence_token"], row["sentence_length"], strict=True
        ):
            parts["first_5pct" if 100 * token < 5 * length else "last_95pct"].append(value)
    for part, values in parts.items():
        assert found[(part, "kl_base_tuned")].value == pytest.approx(mean(values), rel=1e-6)
        assert found[(part, "tokens")].value == len(values)
    assert found[("first_5pct", "kl_base_tuned")].low > found[("last_95pct", "kl_base_tuned")].high


@given(st.integers(1, 100_000))
def test_number_of_first_tokens(length: int) -> None:
    """Token t is among the first 5% of m when t < 0.05 m; there are ceil(0.05 m) of these, in whole numbers too."""
    first = -(-5 * length // 100)
    assert math.ceil(length / 20) == first == len([t for t in range(first + 2) if 100 * t < 5 * length])


def test_hand_computed(tmp_path: Path) -> None:
    rows = [
        shift_row("a", base_rank=[1, 2, 3, 4], base_prob=[0.9, 0.5, 0.25, 0.05]),
        shift_row("b", base_rank=[1], base_prob=[0.8]),
    ]
    found = measure(rows, tmp_path, measure_shift)
    assert found[("base_rank",)].value == 11 / 5
    assert found[("base_prob",)].value == pytest.approx(0.5)
    assert [found[(name,)].value for name in CLASSES] == [2 / 5, 2 / 5, 1 / 5]


def test_a_number_that_is_none_is_null_and_not_the_mean(tmp_path: Path) -> None:
    rows = [
        shift_row("a", kl_base_tuned=[1.0, math.nan]),
        shift_row("b", kl_base_tuned=[3.0]),
        shift_row("c", kl_base_tuned=[5.0]),
    ]
    found = measure(rows, tmp_path, measure_shift)
    assert found[("kl_base_tuned",)][0::3] == (4.0, 2)
    assert found[("kl_base_tuned",)].n_null == 1
    assert found[("base_prob",)].n == 3
    parts = measure(rows, tmp_path, measure_sentence_parts)
    assert parts[("first_5pct", "kl_base_tuned")].n_null == 1


def test_no_response_and_no_token(tmp_path: Path) -> None:
    assert set(measure([], tmp_path, measure_shift).values()) == {Estimate(None), Estimate(0.0)}
    found = measure([shift_row("a", kl_base_tuned=[])], tmp_path, measure_shift)
    assert found[("kl_base_tuned",)] == Estimate(None, n=0, n_null=1)
    assert found[("tokens",)] == Estimate(0.0, n=0, n_null=1)


def test_huge_values(tmp_path: Path) -> None:
    rows = [shift_row(str(i), kl_base_tuned=[3e38] * 9, base_rank=[2_000_000_000] * 9) for i in range(5)]
    found = measure(rows, tmp_path, measure_shift)
    assert found[("kl_base_tuned",)].value == pytest.approx(3e38, rel=1e-6)
    assert found[("base_rank",)][:3] == (2e9, None, None)


def test_lists_of_unequal_length_are_refused(tmp_path: Path) -> None:
    rows = [shift_row("a", kl_base_tuned=[1.0]), shift_row("b", kl_base_tuned=[1.0, 2.0]) | {"base_prob": [0.5]}]
    with pytest.raises(CloserlookError, match=r"shift\.parquet: row 1: base_prob has 1 entries, kl_base_tuned 2"):
        measure(rows, tmp_path, measure_shift)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "shift.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(CloserlookError, match=r"shift\.parquet: cannot be read"):
        list(measure_shift(tmp_path / "shift.parquet"))
