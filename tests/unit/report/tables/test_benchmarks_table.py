"""Scores on benchmarks by hand, McNemar's test by scipy, and intervals and tests that keep a subject's items together."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import BENCHMARK
from closerlook.report.tables.benchmarks import BENCHMARKS, compare_with_base, measure_scores


def completion(id_: str, correct: bool, subject: str | None = None) -> dict[str, Any]:
    return {
        "id": id_,
        "subject": subject,
        "log_probs": [],
        "tokens": [1],
        "bytes": [],
        "prediction": "x",
        "correct": correct,
    }


def written(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    blank = dict.fromkeys(BENCHMARK.names) | {"cut": False}
    graded = [{"score": None if row.get("correct") is None else float(row["correct"])} | row for row in rows]
    write_parquet([blank | row for row in graded], BENCHMARK, folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def measured(file: Path) -> dict[str, Any]:
    return {metric: estimate for _, metric, estimate in measure_scores(file)}


def test_choices_by_hand(tmp_path: Path) -> None:
    rows = [
        {"log_probs": [-1.0, -2.0], "answer": 0, "correct": True, "correct_per_byte": False},
        {"log_probs": [-3.0, -1.0, -1.0, -9.0], "answer": 2, "correct": False, "correct_per_byte": False},
    ]
    shared = {"subject": None, "tokens": [1], "bytes": [1], "prediction": "x"}
    found = measured(written(tmp_path, "a", [{"id": str(i)} | shared | row for i, row in enumerate(rows)]))
    assert found["accuracy"].value == 0.5
    assert found["accuracy_per_byte"].value == 0.0
    assert found["chance"].value == pytest.approx((1 / 2 + 1 / 4) / 2)
    first = -1 - np.log(np.exp(-1) + np.exp(-2))
    second = -1 - np.log(np.exp(-3) + 2 * np.exp(-1) + np.exp(-9))
    assert found["answer_log_prob"].value == pytest.approx((first + second) / 2)
    assert {estimate.n for estimate in found.values()} == {2}


def test_texts_by_hand(tmp_path: Path) -> None:
    rows = [
        {"id": str(i), "log_probs": [logs], "tokens": [tokens], "bytes": [size]}
        for i, (logs, tokens, size) in enumerate([(-10.0, 4, 20), (-2.0, 1, 4)])
    ]
    found = measured(written(tmp_path, "a", rows))
    assert found["nats_per_token"].value == pytest.approx(12 / 5)
    assert found["bits_per_byte"].value == pytest.approx(12 / np.log(2) / 24)
    assert set(found) == {"nats_per_token", "bits_per_byte"}
    better = written(tmp_path, "b", [row | {"log_probs": [row["log_probs"][0] + 1]} for row in rows])
    compared = list(compare_with_base([({"cell": "c"}, [better, tmp_path / "a.parquet"])]))
    assert [(metric, estimate.value) for _, _, metric, estimate in compared] == [
        ("difference_to_base", pytest.approx(-2 / 5))
    ]


def test_flips_and_exact_tests(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    base = random.random(60) < 0.7
    cells, expected = [], {}
    for number, changed in enumerate((0.0, 0.1, 0.5)):
        tuned = np.where(random.random(60) < changed, ~base, base)
        pair = [
            written(tmp_path, f"{name}{number}", [completion(str(i), bool(x)) for i, x in enumerate(values)])
            for name, values in (("tuned", tuned), ("base", base))
        ]
        cells.append(({"cell": number, "method": str(number)}, pair))
        wrong, right = (base & ~tuned).sum(), (~base & tuned).sum()
        p = binomtest(int(right), int(wrong + right)).pvalue if wrong + right else 1.0
        expected[number] = {
            "difference_to_base": (right - wrong) / 60,
            "flipped_to_wrong": wrong / 60,
            "flipped_to_right": right / 60,
            "p": p,
        }
    found: dict[int, dict[str, Any]] = {number: {} for number in expected}
    for cell, _, metric, estimate in compare_with_base(cells):
        found[cell["cell"]][metric] = estimate.value
    ordered = sorted(values["p"] for values in expected.values())
    for number, values in expected.items():
        for metric, value in values.items():
            assert found[number][metric] == pytest.approx(value), (number, metric)
        rank = ordered.index(values["p"])
        assert found[number]["p_holm"] == pytest.approx(max(min(1.0, (3 - i) * ordered[i]) for i in range(rank + 1)))


def test_items_about_one_subject_are_no_independent_items(tmp_path: Path) -> None:
    """Thrice the same items say no more than once, if they are about the same subjects."""
    correct = [i % 3 > 0 for i in range(30)]
    once = [completion(f"{i}", x, subject=f"s{i:02}") for i, x in enumerate(correct)]
    thrice = [row | {"id": f"{row['id']}/{k}"} for row in once for k in range(3)]
    single, clustered = (measured(written(tmp_path, "a", rows))["accuracy"] for rows in (once, thrice))
    assert clustered.value == single.value
    assert clustered.n == single.n
    # Student's quantile of 89 degrees of freedom instead of 29 is in the effective sample size.
    assert clustered[1:3] == pytest.approx(single[1:3], abs=0.01)
    base = [row | {"correct": i % 5 > 1} for i, row in enumerate(once)]
    files = {
        name: written(tmp_path, name, [row | {"id": f"{row['id']}/{k}"} for row in rows for k in range(times)])
        for name, rows, times in (("b1", base, 1), ("t1", once, 1), ("b3", base, 3), ("t3", once, 3))
    }
    p_once, p_thrice = (
        next(e.value for *_, metric, e in compare_with_base([({"cell": "c"}, [files[t], files[b]])]) if metric == "p")
        for t, b in (("t1", "b1"), ("t3", "b3"))
    )
    assert p_thrice == pytest.approx(p_once)
    assert 0 < p_once < 1
    apart = measured(written(tmp_path, "a", [row | {"subject": None} for row in thrice]))["accuracy"]
    assert apart.n == 90
    # A third of the variance, up to the noise of the ends of a percentile interval.
    assert (apart.high - apart.low) / (single.high - single.low) == pytest.approx(1 / np.sqrt(3), rel=0.15)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    one = written(tmp_path, "one", [completion("a", True)])
    other = written(tmp_path, "other", [completion("b", True)])
    with pytest.raises(CloserlookError, match=r"one\.parquet.*other items"):
        list(compare_with_base([({"cell": "c"}, [one, other])]))
    with pytest.raises(CloserlookError, match="no items"):
        measured(written(tmp_path, "none", []))


def test_a_cell_is_compared_with_its_models_base_once_per_task() -> None:
    row = {"model": "m", "dataset": "d", "size": 1, "seed": 0, "method": "sft", "cell": "m/d/sft", "evalset": "e"}
    rows = [row, row | {"evalset": "f"}, row | {"dataset": "", "size": None, "method": "base", "cell": "m/none/base"}]
    grid = [one | {"benchmarks": ["x", "y"]} for one in rows]
    compared = BENCHMARKS.parts[1]
    assert [[(one["cell"], one["task"]) for one in call] for call in compared.calls(grid)] == [
        [("m/d/sft", "x")],
        [("m/d/sft", "y")],
    ]
    assert BENCHMARKS.inputs(grid) == [
        f"cells/{cell}/benchmarks/{task}.parquet" for cell in ("m/d/sft", "m/none/base") for task in ("x", "y")
    ]
    assert not compared.calls([one | {"model": one["cell"]} for one in grid])
    assert not BENCHMARKS.fits([one | {"benchmarks": []} for one in grid])


def test_scores_between_0_and_1_have_a_mean_and_a_paired_difference_alone(tmp_path: Path) -> None:
    """As of F1; one that is 0 or 1 for each item is an accuracy."""
    random = np.random.default_rng(1)
    tuned, base = random.random((2, 40))
    tuned[:3] = 1.0
    files = [
        written(
            tmp_path, name, [{"id": str(i), "score": x, "correct": True if x == 1 else None} for i, x in enumerate(of)]
        )
        for name, of in (("tuned", tuned), ("base", base))
    ]
    assert measured(files[0])["score"].value == pytest.approx(tuned.mean())
    assert set(measured(files[0])) == {"score"}
    ((_, _, metric, estimate),) = compare_with_base([({"cell": "c"}, files)])
    assert (metric, estimate.value) == ("difference_to_base", pytest.approx((tuned - base).mean()))
    spread = 1.96 * (tuned - base).std() / np.sqrt(40)
    assert estimate.high - estimate.low == pytest.approx(2 * spread, rel=0.15)  # bootstrap against the normal


def test_cut_items_are_counted(tmp_path: Path) -> None:
    rows = [completion(str(i), True) | {"cut": i % 3 == 0} for i in range(10)]
    cut = measured(written(tmp_path, "a", rows))["cut"]
    assert (cut.value, cut.n) == (4.0, 10)
