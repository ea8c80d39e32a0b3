"""Trainings that differ in their seed: their mean in every table, one test of a comparison, and the spread between them."""

from typing import Any

import numpy as np
import pytest
from tests.support.synthetic import Folder, fill

from closerlook.config.rows import read_grid
from closerlook.core.files import write_csv
from closerlook.report.tables.build import build
from closerlook.report.tables.pooling import is_mean, of_all_seeds, summarized
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import sections

SEEDS = (0, 1, 2)
KEPT = ("model", "dataset", "size", "method", "evalset")


@pytest.fixture
def seeded(folder: Folder) -> Folder:
    """Two methods with three seeds on one dataset, one with one seed on another, and controls."""
    for seed in SEEDS:
        fill(folder, ("brief@1k",), ("lft", "sft"), responses=40, seed=seed)
    fill(folder, ("verbose@1k",), ("lft",), responses=40)
    return folder


def measure(name: str, folder: Folder) -> list[dict[str, Any]]:
    rows, _ = build(name, TABLES[name], folder.path)
    file = folder.path / "tables" / f"{name}.csv"
    write_csv(rows, TABLES[name].columns, file)
    return read_csv(file, TABLES[name])


def values_of(rows: list[dict[str, Any]], **where: Any) -> list[float]:
    return [row["value"] for row in rows if all(row[name] == value for name, value in where.items())]


@pytest.mark.parametrize("name", ["shift", "kl_by_sentence_part", "lengths", "scores_by_aspect", "scores_by_task"])
def test_a_mean_follows_the_trainings_of_each_value(seeded: Folder, name: str) -> None:
    rows = measure(name, seeded)
    means = [row for row in rows if is_mean(row)]
    assert {row["dataset"] for row in means} == {"brief"}
    assert {row["method"] for row in means} == {"lft", "sft"}
    for mean in means:
        keys = {key: mean[key] for key in (*KEPT, *TABLES[name].keys, "metric")}
        alone = values_of([row for row in rows if not is_mean(row)], **keys)
        assert mean["value"] == pytest.approx(np.mean(alone), rel=1e-8)
        assert (len(alone), mean["seed"]) == (3, "mean of 3")
        assert rows[rows.index(mean) - 1]["seed"] == "2"
    single = [row for row in rows if row["dataset"] == "verbose" or row["method"] in ("base", "icl")]
    assert single
    assert not any(map(is_mean, single))


def test_one_seed_changes_nothing(folder: Folder) -> None:
    fill(folder, ("brief@1k",), ("lft",), responses=40)
    rows = measure("shift", folder)
    assert not any(map(is_mean, rows))
    assert summarized(rows) == rows


def test_the_mean_is_drawn_instead_of_the_trainings(seeded: Folder) -> None:
    rows = measure("shift", seeded)
    (wide,) = sections(rows, TABLES["shift"])
    seeds = [line[wide.header.index("seed")] for line in wide.lines]
    assert seeds == ["mean of 3", "mean of 3", "0"]


def test_a_comparison_has_one_test_over_its_seeds(seeded: Folder) -> None:
    rows = measure("score_differences", seeded)
    comparison = {"judge": "alpha", "aspect": "depth", "method": "sft", "dataset": "brief"}
    against_lora = [row for row in rows if row["against"].endswith(("/lft", "-s1", "-s2"))]
    assert {row["against"] for row in against_lora if is_mean(row)} == {"tiny/brief@1k/lft"}
    corrected = values_of(against_lora, metric="p_holm", **comparison)
    assert len(corrected) == 1
    assert len(values_of(against_lora, metric="p", **comparison)) == 4  # of each training, and of all together
    (p,) = values_of([row for row in against_lora if is_mean(row)], metric="p", **comparison)
    (difference,) = [
        row
        for row in against_lora
        if is_mean(row) and row["metric"] == "difference" and row["judge"] == "alpha" and row["aspect"] == "depth"
    ]
    assert (p < 0.05) is not (difference["ci_low"] <= 0 <= difference["ci_high"])
    # Holm over two judges, five aspects and: brief lft and sft against base, sft against lft, verbose lft and icl against base
    every = [row["value"] for row in rows if row["metric"] == "p_holm"]
    assert len(every) == 2 * 5 * 5
    tested = [row for row in rows if row["metric"] == "p" and (is_mean(row) or row["dataset"] != "brief")]
    assert min(every) == pytest.approx(min(1, len(every) * min(row["value"] for row in tested)), rel=1e-8)


def test_the_spread_between_seeds_is_a_table(seeded: Folder) -> None:
    for name in (
        "shift",
        "lengths",
        "scores_by_aspect",
        "scores_by_task",
        "score_differences",
        "kl_by_sentence_part",
        "cells",
        "collapse",
        "top_shifted_tokens",
        "data",
    ):
        measure(name, seeded)
    grid = [row.model_dump() for row in read_grid(seeded.path)]
    assert TABLES["seeds"].fits(grid)
    assert not TABLES["seeds"].fits([row for row in grid if row["seed"] == 0])
    rows, _ = build("seeds", TABLES["seeds"], seeded.path)
    shift = measure("shift", seeded)
    found = {
        row["metric"]: row
        for row in rows
        if (row["table"], row["measured"], row["method"]) == ("shift", "kl_base_tuned", "sft")
    }
    alone = values_of([row for row in shift if not is_mean(row)], metric="kl_base_tuned", method="sft", dataset="brief")
    assert found["sd"]["value"] == pytest.approx(np.std(alone, ddof=1), rel=1e-6)
    assert (found["lowest"]["value"], found["highest"]["value"]) == (min(alone), max(alone))
    assert found["mean"]["value"] == pytest.approx(np.mean(alone), rel=1e-8)
    assert found["mean"]["ci_low"] < min(alone) or found["mean"]["ci_low"] < found["mean"]["value"]


def test_flags_say_whether_any_training_has_them(seeded: Folder) -> None:
    rows = [row for row in measure("collapse", seeded) if row["metric"] == "collapsed"]
    assert {row["value"] for row in rows} <= {0, 1, None}


def test_claims_are_decided_once_over_the_seeds(seeded: Folder) -> None:
    rows = [row for row in measure("claims", seeded) if row["decided_from"] == "ours" and row["judge"] == "alpha"]
    (effect,) = [
        row
        for row in rows
        if row["metric"] == "effect" and row["claim"] == "LFT has more factuality than SFT on the same data"
    ]
    assert (effect["seed"], effect["against"]) == ("mean of 3", "tiny/brief@1k/sft")
    differences = [
        row["value"]
        for row in measure("score_differences", seeded)
        if row["judge"] == "alpha" and row["aspect"] == "factuality" and row["metric"] == "difference"
        if "sft" in row["method"] and row["against"].startswith("tiny/brief@1k/lft") and not is_mean(row)
    ]
    assert len(differences) == 3
    assert effect["value"] == pytest.approx(-np.mean(differences), rel=1e-8)


def test_names_of_cells_lose_their_seed_and_draw() -> None:
    row = {"seed": "3", "against": "m/it@1k-d3/lft-s3", "metric": "x"}
    assert of_all_seeds(row) == {"seed": "", "against": "m/it@1k/lft", "metric": "x"}
    assert of_all_seeds({"seed": "0", "against": "m/it@1k/lft"})["against"] == "m/it@1k/lft"
    assert of_all_seeds({"seed": "2", "under": "sft-s2"}) == {"seed": "", "under": "sft"}
    assert of_all_seeds({"seed": "2", "searched": "it@200-d2"}) == {"seed": "", "searched": "it@200"}
    assert of_all_seeds({"seed": "0", "searched": "wiki-d2"})["searched"] == "wiki-d2"
    assert of_all_seeds({"seed": "0", "against": "m/it-d3x/lft-seed"})["against"] == "m/it-d3x/lft-seed"
