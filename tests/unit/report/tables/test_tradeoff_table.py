"""What was learned against what was kept: by hand, and against lines drawn from the answers themselves."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.grid import grid_row, write_rows

from closerlook.config.benchmarks import TAUGHT
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_json, write_parquet
from closerlook.core.schemas import BENCHMARK, EVALSET, INSTANCES, RESPONSES
from closerlook.miniature.language import KINDS, predicate
from closerlook.report.tables.benchmarks import subtract_scores
from closerlook.report.tables.build import build
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tradeoff import TRADEOFF, facts

KIND = KINDS["person"]
ATTRIBUTE = next(iter(KIND.attributes))
VALUES = KIND.attributes[ATTRIBUTE].values
NAMES = [f"{first} {second}" for first in KIND.first for second in KIND.second]
KNOWN, TAUGHT_NAMES = NAMES[:30], NAMES[30:70]
TOKENS = [3, 1, 20, 8, 5]
SHARES = {
    "lft": {"5e-4": (0.1, 0.95, 0.9), "1e-3": (0.3, 0.9, 0.6), "5e-3": (0.6, 0.7, 0.5)},
    "sft": {"1e-4": (0.2, 0.9, 0.8), "2e-4": (0.5, 0.8, 0.4), "1e-3": (0.8, 0.3, 0.3)},
}
"""For each method and rate: taught facts right, known facts right, held-out loss."""


def says(name: str, value: str) -> str:
    return f"{name} {predicate(ATTRIBUTE, 0, value)}."


def asked(name: str, sort: str) -> dict[str, Any]:
    more = {"instruction": "?", "task_types": ["fact"], "topics": ["person", sort], "source": "m"}
    return {"id": name, "reference": says(name, VALUES[0])} | more


def answers(right: Iterable[str]) -> list[dict[str, Any]]:
    """A response to every question, wrong unless its entity is in `right`."""
    rows = ((name, says(name, VALUES[0 if name in set(right) else 1])) for name in (*KNOWN, *TAUGHT_NAMES))
    more = {"prompt": "?", "prompt_token_ids": [1], "token_ids": [1], "finish_reason": "eos"}
    return [{"id": name, "text": text} | more for name, text in rows]


def stated(names: Iterable[str]) -> list[dict[str, Any]]:
    rows = enumerate(says(name, VALUES[0]) for name in names)
    return [{"id": f"{i}", "instruction": "?", "response": text, "source": "m", "row": i} for i, text in rows]


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """Two methods at three rates with two seeds, and the base model, which knows all known facts and one taught fact."""
    questions = [*(asked(name, "known") for name in KNOWN), *(asked(name, "taught") for name in TAUGHT_NAMES)]
    write_parquet(questions, EVALSET, tmp_path / "evalsets/ask.parquet")
    write_parquet(stated(TAUGHT_NAMES), INSTANCES, tmp_path / "data/it.parquet")
    base = "cells/m/none/base/ask/responses.parquet"
    write_parquet(answers([*KNOWN, TAUGHT_NAMES[0]]), RESPONSES, tmp_path / base)
    grid: list[dict[str, Any]] = [grid_row(cell="m/none/base", method="base")]
    rng = np.random.default_rng(0)
    for family, rates in SHARES.items():
        for rate, (learned, kept, loss) in rates.items():
            for seed in (0, 1):
                method = f"{family}-lr{rate}"
                cell = f"m/it/{method}" + (f"-s{seed}" if seed else "")
                grid.append(grid_row(cell=cell, dataset="it", method=method, seed=seed, sweep=family))
                noisy = [np.clip(share + rng.normal(0, 0.02), 0, 1) for share in (learned, kept)]
                right = [name for name in TAUGHT_NAMES if rng.random() < noisy[0]]
                right += [name for name in KNOWN if rng.random() < noisy[1]]
                write_parquet(answers(right), RESPONSES, tmp_path / "cells" / cell / "ask/responses.parquet")
                held_out = {"tokens": TOKENS, "losses": [(loss + 0.01 * seed) * n for n in TOKENS]}
                facts_ = {"data": {"rows": len(TAUGHT_NAMES) - 10}, "held_out": held_out}
                write_json(facts_, tmp_path / "cells" / cell / "manifest.json")
    write_rows(grid, tmp_path)
    return tmp_path


def rows_of(results: Path, **where: str) -> list[dict[str, Any]]:
    rows, _ = build("tradeoff", TABLES["tradeoff"], results)
    return [row for row in rows if all(str(row[name]) == value for name, value in where.items())]


def values(rows: list[dict[str, Any]], column: str = "method") -> dict[str, Any]:
    return {row[column]: row["value"] for row in rows}


def test_learned_counts_what_the_training_saw(swept: Path) -> None:
    """Thirty of the forty taught facts are in the instances that are not held out; the base model knew one of these."""
    cell = swept / "cells/m/it/lft-lr5e-4"
    write_parquet(answers([*TAUGHT_NAMES[25:], *KNOWN[:27]]), RESPONSES, cell / "ask/responses.parquet")
    base, evalset = swept / "cells/m/none/base/ask/responses.parquet", swept / "evalsets/ask.parquet"
    found = facts(cell / "ask/responses.parquet", base, evalset, swept / "data/it.parquet", cell / "manifest.json")
    assert found["learned"].value == pytest.approx(5 / 30 - 1 / 30)
    assert (found["learned"].n, found["learned"].n_null) == (30, 10)
    assert found["kept"].value == pytest.approx(-3 / 30)
    write_parquet(answers([])[1:], RESPONSES, base)  # a question that the base model did not answer is no pair
    found = facts(cell / "ask/responses.parquet", base, evalset, swept / "data/it.parquet", cell / "manifest.json")
    assert (found["kept"].n, found["kept"].n_null) == (29, 1)


@pytest.mark.parametrize(("matched", "sign"), [("learned", 1), ("held_out_loss", -1)])
def test_methods_meet_on_the_lines_through_the_means(swept: Path, matched: str, sign: int) -> None:
    lines = {}
    for family in SHARES:
        own = {
            metric: values(rows_of(swept, family=family, seed="mean of 2", against="", metric=metric))
            for metric in (matched, "kept")
        }
        assert list(own["kept"]) == [f"{family}-lr{rate}" for rate in SHARES[family]]
        lines[family] = sign * np.array(list(own[matched].values())), np.array(list(own["kept"].values()))
    low, high = max(x[0] for x, _ in lines.values()), min(x[-1] for x, _ in lines.values())
    found = {
        metric: values(rows_of(swept, seed="mean of 2", matched=matched, metric=metric), "part")
        for metric in ("level", "kept_at_level", "kept_against", "difference")
    }
    for part, share in (("1/4", 0.25), ("1/2", 0.5), ("3/4", 0.75)):
        level = low + share * (high - low)
        lft, sft = (np.interp(level, *lines[family]) for family in ("lft", "sft"))
        assert found["level"][part] == pytest.approx(sign * level)
        assert found["kept_at_level"][part] == pytest.approx(lft)
        assert found["kept_against"][part] == pytest.approx(sft)
        assert found["difference"][part] == pytest.approx(lft - sft)
    assert {(row["method"], row["against"]) for row in rows_of(swept, matched=matched)} == {("lft", "sft")}


def test_the_difference_has_an_interval_over_questions_and_trainings(swept: Path) -> None:
    rows = rows_of(swept, metric="difference", matched="learned", part="1/2")
    assert [row["seed"] for row in rows] == [0, 1, "mean of 2"]
    assert all(row["ci_low"] < row["value"] < row["ci_high"] for row in rows)
    assert rows[2]["value"] == pytest.approx((rows[0]["value"] + rows[1]["value"]) / 2)
    assert {row["n"] for row in rows} == {60}  # known facts, and the taught ones that were stated


def test_ranges_without_a_common_level_say_so(swept: Path) -> None:
    for cell in swept.glob("cells/m/it/sft-*"):
        right = [*TAUGHT_NAMES, *KNOWN[:10]]
        write_parquet(answers(right), RESPONSES, cell / "ask/responses.parquet")
    rows = rows_of(swept, matched="learned", seed="mean of 2")
    assert [(row["metric"], row["value"]) for row in rows] == [("no_common_level", 1)]
    assert rows_of(swept, matched="held_out_loss", metric="difference")


def test_a_rate_that_a_seed_lacks_is_no_point_of_the_lines(swept: Path) -> None:
    """Such as one that diverged. It is named with the files that are missing, and the other seed's values stay."""
    (swept / "cells/m/it/lft-lr5e-3-s1/manifest.json").unlink()
    losses = values(rows_of(swept, matched="held_out_loss", metric="level", seed="mean of 2"), "part")
    assert losses["1/2"] == pytest.approx(
        (0.8 + 0.6) / 2 + 0.005
    )  # of sft's first and lft's second rate, not its third
    assert rows_of(swept, method="lft-lr5e-3", seed="0", metric="kept")[0]["value"] is not None
    missing = build("tradeoff", TABLES["tradeoff"], swept)[1]
    assert {item.needed_by for item in missing} == {"m/it/lft-lr5e-3-s1 on ask"}


def test_seeds_that_both_methods_have_are_compared(swept: Path) -> None:
    for cell in swept.glob("cells/m/it/sft-*-s1/manifest.json"):
        cell.unlink()
    assert {row["seed"] for row in rows_of(swept, metric="difference")} == {0}


def benchmark(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    blank = dict.fromkeys(BENCHMARK.names) | {"tokens": [1], "cut": False}
    graded = [row | {"score": None if row.get("correct") is None else float(row["correct"])} for row in rows]
    written = [blank | {"id": str(i)} | row for i, row in enumerate(graded)]
    write_parquet(written, BENCHMARK, folder / f"{name}.parquet")
    return folder / f"{name}.parquet"


def test_what_tasks_say_was_kept(tmp_path: Path) -> None:
    items = [
        benchmark(tmp_path, n, [{"correct": i in right} for i in range(5)])
        for n, right in (("a", {0, 1}), ("b", {1, 2, 3}))
    ]
    assert subtract_scores(*items)[0].value == pytest.approx(-1 / 5)
    logs = {"tuned": (-10.0, -4.0), "base": (-5.0, -5.0)}
    texts = [
        benchmark(tmp_path, n, [{"log_probs": [x], "tokens": [t]} for x, t in zip(each, (4, 1), strict=True)])
        for n, each in logs.items()
    ]
    assert subtract_scores(*texts)[0].value == pytest.approx((-14 + 10) / 5)
    with pytest.raises(CloserlookError, match="other items"):
        subtract_scores(items[0], texts[0])


def test_a_grid_needs_a_sweep_and_something_that_the_base_knows() -> None:
    cell = {"cell": "m/it/lft-lr1e-3", "dataset": "it", "method": "lft-lr1e-3", "sweep": "lft"}
    base = {"cell": "m/none/base", "method": "base"}
    assert TRADEOFF.fits([grid_row(**cell), grid_row(**base)])
    assert not TRADEOFF.fits([grid_row(**cell)])
    assert not TRADEOFF.fits([grid_row(**cell | {"sweep": ""}), grid_row(**base)])
    unknown = {"truth_known": False}
    assert not TRADEOFF.fits([grid_row(**cell, **unknown), grid_row(**base, **unknown)])
    tasks = [grid_row(**each, **unknown, benchmarks=["mmlu", TAUGHT]) for each in (cell, base)]
    assert [path for path in TRADEOFF.inputs(tasks) if "benchmarks" in path] == [
        f"cells/{each}/benchmarks/mmlu.parquet" for each in ("m/it/lft-lr1e-3", "m/none/base")
    ]
