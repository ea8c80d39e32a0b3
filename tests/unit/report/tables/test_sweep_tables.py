"""The tables of learning rates: which rate is best, and the methods compared there, against sums done by hand."""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.grid import grid_row, write_rows
from tests.support.synthetic import LOOP, WHOLE, Folder, instances, random_verdicts, response, training

from closerlook.core.files import write_csv, write_json, write_parquet
from closerlook.core.schemas import INSTANCES, RESPONSES, VERDICTS
from closerlook.report.tables.build import build
from closerlook.report.tables.draw import to_markdown
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.sweep import in_families
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import sections

RATES = {"lft": {"5e-5": 1.4, "5e-4": 0.8, "5e-3": 0.5}, "sft": {"5e-6": 1.0, "5e-5": 0.9, "5e-4": 1.1}}
"""Held-out losses. LoRA's least is that of a cell that loops, so its best is 5e-4; full tuning's is 5e-5."""
COLLAPSED = "lft-lr5e-3"
TOKENS = [3, 1, 20, 8]


def held_out(seed: int, mean: float) -> dict[str, Any]:
    losses = np.random.default_rng(seed).uniform(0.8, 1.2, len(TOKENS)) * TOKENS
    losses *= mean * sum(TOKENS) / losses.sum()
    base = [2.0 * n for n in TOKENS]
    return {"tokens": TOKENS, "losses": losses.tolist(), "base_losses": base, "loss": mean, "base_loss": 2.0}


@pytest.fixture
def swept(folder: Folder) -> Folder:
    """Two methods at three rates, an unswept method, and the base model; one judge."""
    folder.tokenizer()
    data = [row | {"response": f"{i} the a The"} for i, row in enumerate(instances(0, 50, 3))]
    write_parquet(data, INSTANCES, folder.path / "data/it@50.parquet")
    grid = []
    names = [(family, f"{family}-lr{rate}", loss) for family, rates in RATES.items() for rate, loss in rates.items()]
    for seed, (family, method, loss) in enumerate([*names, ("", "nft", None), ("", "base", None)]):
        dataset, size = ("", None) if method == "base" else ("it", 50)
        name = f"m/{f'{dataset}@{size}' if dataset else 'none'}/{method}"
        row = {"cell": name, "model": "m", "dataset": dataset, "size": size, "method": method, "seed": 0}
        grid.append(row | {"evalset": "ask", "judges": ["alpha"], "sweep": family})
        place = folder.path / "cells" / name
        answers = [LOOP] * 20 if method == COLLAPSED else WHOLE
        rows = [response(i, words) for i, words in enumerate(answers)]
        write_parquet(rows, RESPONSES, place / "ask/responses.parquet")
        write_parquet(random_verdicts(seed, 20, 3 + seed / 10), VERDICTS, place / "ask/verdicts/alpha.parquet")
        if dataset:
            training(place)
            facts = json.loads((place / "manifest.json").read_text())
            write_json(facts | ({"held_out": held_out(seed, loss)} if loss else {}), place / "manifest.json")
            steps = [{"step": i + 1, "epoch": (i + 1) / 2, "loss": 4.0 - i, "trained_tokens": 10 + i} for i in range(4)]
            (place / "train_log.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    (folder.path / "models").rename(folder.path / "old")
    (folder.path / "models").mkdir()
    (folder.path / "old/tiny").rename(folder.path / "models/m")
    write_rows(grid, folder.path)
    return folder


def measured(folder: Folder, name: str) -> list[dict[str, Any]]:
    rows, _ = build(name, TABLES[name], folder.path)
    path = folder.path / "tables" / f"{name}.csv"
    write_csv(rows, TABLES[name].columns, path)
    return read_csv(path, TABLES[name])


def values(rows: list[dict[str, Any]], metric: str) -> dict[str, float | None]:
    return {row["method"]: row["value"] for row in rows if row["metric"] == metric}


def test_the_best_rate_is_the_least_loss_that_did_not_collapse(swept: Folder) -> None:
    rows = measured(swept, "sweep")
    assert {row["method"] for row in rows} == {f"{f}-lr{r}" for f, rates in RATES.items() for r in rates}
    assert [name for name, flag in values(rows, "chosen").items() if flag] == ["lft-lr5e-4", "sft-lr5e-5"]
    assert [name for name, flag in values(rows, "collapsed").items() if flag] == [COLLAPSED]
    assert values(rows, "at_end") == {"lft-lr5e-4": 0, "sft-lr5e-5": 0}
    assert values(rows, "learning_rate") == {f"{f}-lr{r}": float(r) for f, rates in RATES.items() for r in rates}
    assert set(values(rows, "base_loss").values()) == {2.0}
    assert set(values(rows, "trained_loss").values()) == {(2.0 * 12 + 1.0 * 13) / 25}  # the second of two epochs
    losses = values(rows, "held_out_loss")
    assert losses == pytest.approx({f"{f}-lr{r}": loss for f, rates in RATES.items() for r, loss in rates.items()})
    above = values(rows, "above_best")
    assert above["lft-lr5e-4"] == 0
    assert above["sft-lr5e-4"] == pytest.approx(losses["sft-lr5e-4"] - losses["sft-lr5e-5"])
    (row,) = (r for r in rows if (r["method"], r["metric"]) == ("sft-lr5e-4", "held_out_loss"))
    assert row["ci_low"] <= row["value"] <= row["ci_high"]
    assert row["n"] == len(TOKENS)


def test_a_best_rate_at_an_end_says_so(swept: Folder) -> None:
    place = swept.path / "cells/m/it@50/sft-lr5e-4/manifest.json"
    write_json(json.loads(place.read_text()) | {"held_out": held_out(1, 0.1)}, place)
    assert values(measured(swept, "sweep"), "at_end") == {"lft-lr5e-4": 0, "sft-lr5e-4": 1}


def test_methods_are_compared_at_their_best(swept: Folder) -> None:
    rows = measured(swept, "matched")
    assert {row["method"] for row in rows} == {"lft-lr5e-4", "sft-lr5e-5", "nft"}
    differences = {row["against"]: row for row in rows if row["metric"] == "difference" and row["aspect"] == "depth"}
    assert {row["method"] for row in differences.values()} == {"lft-lr5e-4"}
    assert set(differences) == {"sft-lr5e-5", "nft"}
    one, other = (
        {v["id"]: v["score"] for v in random_verdicts(seed, 20, 3 + seed / 10) if v["aspect"] == "depth"}
        for seed in (1, 4)
    )
    pairs = [one[i] - other[i] for i in one if one[i] is not None and other[i] is not None]
    assert differences["sft-lr5e-5"]["value"] == pytest.approx(statistics.fmean(pairs))
    assert differences["sft-lr5e-5"]["n"] == len(pairs)
    score = {row["method"]: row for row in rows if row["metric"] == "score" and row["aspect"] == "depth"}
    assert score["lft-lr5e-4"]["value"] == pytest.approx(statistics.fmean(s for s in one.values() if s is not None))
    assert {row["metric"] for row in rows} == set(TABLES["matched"].metrics)
    keys = [tuple(v for k, v in row.items() if k not in ("value", "ci_low", "ci_high", "n", "n_null")) for row in rows]
    assert len(set(keys)) == len(keys)
    drawn = to_markdown(sections(rows, TABLES["matched"]), TABLES["matched"], [], "make")
    assert "against" in drawn


def test_what_is_not_there_is_named_and_chooses_nothing(swept: Folder) -> None:
    """A rate that diverged has collapsed; one that has no answers yet cannot be the best; without a verdict no comparison."""
    cells = swept.path / "cells/m/it@50"
    (cells / "lft-lr5e-4/manifest.json").unlink()
    (cells / "lft-lr5e-4/attempts/train").mkdir(parents=True)
    write_json({"reason": "non-finite loss"}, cells / "lft-lr5e-4/attempts/train/failure.json")
    (cells / "sft-lr5e-5/ask/responses.parquet").unlink()
    (cells / "nft/ask/verdicts/alpha.parquet").unlink()
    rows, missing = build("sweep", TABLES["sweep"], swept.path)
    found = {(row["method"], row["metric"]): row["value"] for row in rows}
    assert found["lft-lr5e-4", "collapsed"] == 1
    assert ("lft-lr5e-4", "held_out_loss") not in found
    assert ("sft-lr5e-5", "collapsed") not in found
    assert [method for method, metric in found if metric == "chosen" and found[method, metric]] == [
        "lft-lr5e-5",
        "sft-lr5e-6",
    ]
    assert {Path(item.command.split()[1]).name for item in missing} == {"manifest.json", "responses.parquet"}
    matched, missing = build("matched", TABLES["matched"], swept.path)
    assert {row["against"] for row in matched if row["metric"] == "difference"} == {"sft-lr5e-6"}
    assert {row["value"] for row in matched if row["family"] == "nft"} == {None}
    assert any("alpha.parquet" in item.command for item in missing)


def test_nothing_is_there_yet(swept: Folder) -> None:
    for name in ("cells", "data", "models"):
        (swept.path / name).rename(swept.path / f"gone-{name}")
    for name in ("sweep", "matched"):
        rows, missing = build(name, TABLES[name], swept.path)
        assert not any(row["value"] for row in rows if row["metric"] != "learning_rate")
        assert missing


def test_a_grid_without_a_sweep_has_neither(swept: Folder) -> None:
    rows = [grid_row(dataset="it", judges=["alpha"])]
    assert not TABLES["sweep"].fits(rows)
    assert not TABLES["matched"].fits(rows)
    assert TABLES["matched"].fits([rows[0] | {"sweep": "lft"}])
    assert not TABLES["matched"].fits([rows[0] | {"sweep": "lft", "judges": []}])


def test_a_swept_method_at_its_own_rate_is_no_trial() -> None:
    """Another block may train the method on the same data as the catalog has it, on all instances."""
    rows = [
        grid_row(dataset="it", judges=["alpha"], method=m, sweep=s) for m, s in (("lft-lr5e-4", "lft"), ("lft", ""))
    ]
    assert [row["method"] for row in in_families(rows)] == ["lft-lr5e-4"]
    assert [row["method"] for row in in_families([rows[0], rows[1] | {"method": "nft"}])] == ["lft-lr5e-4", "nft"]
