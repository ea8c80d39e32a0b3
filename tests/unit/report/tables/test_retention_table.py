"""Table retention against numbers computed otherwise: by hand, by scipy, by simulation; over seeds; and with a file missing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from closerlook.config.rows import GridRow, write_grid
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import RETENTION as SCHEMA
from closerlook.report.tables.retention import RETENTION, measure_retention
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.write import write_table
from closerlook.stats.paired_tests import holm, p_of_ratio

CELL = {
    "model": "m",
    "dataset": "d",
    "size": 9,
    "method": "sft",
    "seed": 0,
    "cell": "m/d/sft",
    "evalset": "e",
    "text": "t",
}
BASE = CELL | {"dataset": "", "size": None, "method": "base", "cell": "m/none/base"}


def pieces(count: int = 30, seed: int = 0, change: float = 0.1, tokens: int | None = None) -> list[dict[str, Any]]:
    """Pieces on which the tuned model needs about `change` nats more per token."""
    random = np.random.default_rng(seed)
    sizes = random.integers(5, 60, count) if tokens is None else np.full(count, tokens)
    base = random.gamma(4, size=count) * sizes
    nats = base + (change + 0.2 * random.standard_normal(count)) * sizes if change else base
    kl = random.gamma(2, size=count) * sizes * abs(change)
    return [
        {
            "id": str(i),
            "tokens": int(n),
            "bytes": int(4 * n),
            "cut": i % 3 == 0,
            "base_nats": b,
            "nats": t,
            "kl_base_tuned": k,
        }
        for i, (n, b, t, k) in enumerate(zip(sizes, base.tolist(), nats.tolist(), kl.tolist(), strict=True))
    ]


def written(file: Path, rows: list[dict[str, Any]]) -> Path:
    write_parquet(rows, SCHEMA, file)
    return file


def measured(cells: list[tuple[dict[str, Any], list[Path]]]) -> dict[tuple[str, str, str], Any]:
    return {
        (cell["cell"], str({**cell, **keys}["seed"]), metric): estimate
        for cell, keys, metric, estimate in measure_retention(cells)
    }


def test_by_hand(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "tokens": 4, "bytes": 20, "cut": False, "base_nats": 8.0, "nats": 10.0, "kl_base_tuned": 1.0},
        {"id": "b", "tokens": 1, "bytes": 4, "cut": True, "base_nats": 3.0, "nats": 2.0, "kl_base_tuned": 0.5},
        {"id": "c", "tokens": 0, "bytes": 0, "cut": False, "base_nats": 0.0, "nats": 0.0, "kl_base_tuned": 0.0},
    ]
    found = {metric: e for (_, _, metric), e in measured([(CELL, [written(tmp_path / "a.parquet", rows)])]).items()}
    assert found["nats_per_token"].value == pytest.approx(12 / 5)
    assert found["bits_per_byte"].value == pytest.approx(12 / np.log(2) / 24)
    assert found["difference_to_base"].value == pytest.approx((12 - 11) / 5)
    assert found["kl_base_tuned"].value == pytest.approx(1.5 / 5)
    assert (found["cut"].value, found["cut"].n, found["tokens"].value) == (pytest.approx(1 / 3), 3, 5)
    for metric in ("nats_per_token", "bits_per_byte", "difference_to_base", "kl_base_tuned"):
        assert (found[metric].n, found[metric].n_null) == (2, 1), metric  # what has no token is no piece


def test_an_untouched_base_is_at_zero_and_is_not_tested(tmp_path: Path) -> None:
    file = written(tmp_path / "a.parquet", pieces(change=0.0))
    found = measured([(BASE, [file]), (CELL | {"method": "fresh"}, [file])])
    for cell in (BASE["cell"], CELL["cell"]):
        for metric in ("difference_to_base", "kl_base_tuned"):
            assert found[cell, "0", metric].value == 0
            assert found[cell, "0", metric].low is None  # nothing varies
    assert (BASE["cell"], "0", "p") not in found
    assert found[CELL["cell"], "0", "p"].value is None
    assert found[BASE["cell"], "0", "nats_per_token"].value > 0


def test_p_is_students_where_all_pieces_are_equally_long(tmp_path: Path) -> None:
    for seed in range(5):
        rows = pieces(seed=seed, change=0.05, tokens=40)
        differences = [(row["nats"] - row["base_nats"]) / 40 for row in rows]
        (p,) = [
            e.value
            for (*_, metric), e in measured([(CELL, [written(tmp_path / "a.parquet", rows)])]).items()
            if metric == "p"
        ]
        assert p == pytest.approx(ttest_1samp(differences, 0).pvalue)


def test_p_and_interval_agree_about_zero_and_hold_their_level() -> None:
    """Of pieces of different lengths whose losses did not change, 5% of the tests find a change."""
    random = np.random.default_rng(0)
    p = []
    for _ in range(2000):
        tokens = random.integers(5, 500, 40).astype(float)
        p.append(p_of_ratio(random.standard_normal(40) * tokens, tokens))
    assert 0.03 < np.mean(np.array(p) < 0.05) < 0.08  # the ratio estimator is a little liberal for 40 pieces
    assert p_of_ratio(np.ones(1), np.ones(1)) is None
    assert p_of_ratio(np.full(9, 0.3), np.full(9, 3.0)) is None  # nothing differs


def test_holm_is_over_the_cells_on_one_text_and_seeds_are_one_comparison(tmp_path: Path) -> None:
    files = {name: written(tmp_path / f"{name}.parquet", pieces(seed=i, change=0.08)) for i, name in enumerate("abcd")}
    seeds = [(CELL | {"seed": s, "cell": f"m/d/sft-s{s}"}, [files[name]]) for s, name in ((0, "a"), (1, "b"))]
    others = [(CELL | {"method": m, "cell": f"m/d/{m}"}, [files[name]]) for m, name in (("lft", "c"), ("nft", "d"))]
    found = measured([*seeds, *others, (BASE, [written(tmp_path / "base.parquet", pieces(change=0.0))])])
    tested = [("m/d/sft-s1", "mean of 2"), ("m/d/lft", "0"), ("m/d/nft", "0")]
    p, corrected = ([found[*one, metric].value for one in tested] for metric in ("p", "p_holm"))
    assert corrected == pytest.approx(holm(p))
    assert ("m/d/sft-s1", "1", "p_holm") not in found
    assert found["m/d/sft-s1", "1", "p"].value != p[0]


def results(folder: Path) -> None:
    """A grid of two trainings and the base on two texts, with its files."""
    rows = []
    for number, seed in enumerate((0, 1, None)):
        cell = BASE if seed is None else CELL | {"seed": seed, "cell": f"m/d/sft{'-s1' * seed}"}
        for text in ("t", "u"):
            content = pieces(seed=number, change=0.1 if cell["dataset"] else 0.0)
            written(folder / f"cells/{cell['cell']}/retention/{text}.parquet", content)
        identity = {name: value for name, value in cell.items() if name != "text"}
        rows += [GridRow(**identity | {"evalset": evalset}, retention=["t", "u"]) for evalset in ("e", "f")]
    write_grid(rows, folder)


def table_of(folder: Path) -> list[dict[str, Any]]:
    write_table("retention", folder, folder / "tables/retention.csv")
    return read_csv(folder / "tables/retention.csv", RETENTION)


def value(rows: list[dict[str, Any]], metric: str, **where: Any) -> float | None:
    (row,) = [row for row in rows if row["metric"] == metric and all(row[name] == v for name, v in where.items())]
    return row["value"]


def test_the_table_has_a_row_per_cell_and_text_whatever_the_evalsets(tmp_path: Path) -> None:
    results(tmp_path)
    rows = table_of(tmp_path)
    assert {row["evalset"] for row in rows} == {""}
    for text in ("t", "u"):
        alone = [value(rows, "difference_to_base", text=text, method="sft", seed=seed) for seed in ("0", "1")]
        mean = value(rows, "difference_to_base", text=text, seed="mean of 2")
        assert mean == pytest.approx(np.mean(alone))
        assert value(rows, "difference_to_base", text=text, method="base") == 0
        assert value(rows, "p_holm", text=text, seed="mean of 2") == value(rows, "p", text=text, seed="mean of 2")
    assert len([row for row in rows if row["metric"] == "p_holm"]) == 2
    drawn = (tmp_path / "tables/retention.md").read_text(encoding="utf-8")
    assert "over pieces" in drawn


def test_a_missing_file_is_named_and_the_others_are_measured(tmp_path: Path) -> None:
    results(tmp_path)
    whole = table_of(tmp_path)
    (tmp_path / "cells/m/d/sft-s1/retention/u.parquet").unlink()
    rows = table_of(tmp_path)
    assert [row for row in rows if row["text"] == "t"] == [row for row in whole if row["text"] == "t"]
    empty = [row for row in rows if row["text"] == "u" and row["seed"] == "1"]
    assert {(row["value"], row["n"]) for row in empty} == {(None, 0)}
    assert not [row for row in rows if row["text"] == "u" and "mean" in row["seed"]]
    one = {"text": "u", "seed": "0", "method": "sft"}
    assert value(rows, "nats_per_token", **one) == value(whole, "nats_per_token", **one)
    drawn = (tmp_path / "tables/retention.md").read_text(encoding="utf-8")
    assert "snakemake" in drawn
    assert "sft-s1/retention/u.parquet" in drawn


def test_a_file_without_pieces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CloserlookError, match=r"a\.parquet: has no pieces"):
        measured([(CELL, [written(tmp_path / "a.parquet", [])])])


def test_a_grid_that_reads_no_text_has_no_such_table() -> None:
    assert not RETENTION.fits([CELL | {"retention": []}])
    assert RETENTION.inputs([CELL | {"retention": ["t"]}]) == ["cells/m/d/sft/retention/t.parquet"]
