"""The table of the simplification study: on a synthetic folder, against plain loops, and with files that are not there."""

import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.grid import grid_row, write_rows
from tests.support.synthetic import Folder, random_responses, random_verdicts

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_csv, write_parquet
from closerlook.core.schemas import INSTANCES, PAIRWISE, RESPONSES, VERDICTS
from closerlook.judge.pairwise import CLASSES, DISAGREEMENT
from closerlook.report.tables import metrics
from closerlook.report.tables.build import build
from closerlook.report.tables.draw import to_latex, to_markdown
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.simplification import SIDES, compare_pairs, measure_data
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import sections, widen

SIMPLIFICATION = {name: TABLES[name] for name in ("simplification",)}

TABLE = SIMPLIFICATION["simplification"]
N = 40


def instances(seed: int, mean: float, rows: int = 30) -> list[dict[str, Any]]:
    lengths = np.random.default_rng(seed).poisson(mean, rows) + 1
    return [
        {"id": f"{i:016x}", "instruction": "?", "response": " the" * int(n), "source": "it", "row": i}
        for i, n in enumerate(lengths)
    ]


def pairwise(seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    blank = {"original_first": None, "simplified_first": None, "reason": None, "judge": "j@1/prompt 00000000"}
    rows = []
    for i in range(N):
        cause = str(rng.choice(["refused", "unparsable", "error"])) if i % 10 == 0 else None
        rows.append(
            blank
            | {"id": str(i), "class": None if cause else str(rng.choice([*CLASSES, DISAGREEMENT])), "null_cause": cause}
        )
    return rows


def fill(folder: Folder) -> None:
    """Two methods on lima and lima-simple, a control, and one judge who scores and compares; people labelled nothing yet."""
    folder.tokenizer()
    grid = []
    for seed, dataset in enumerate(("lima", "lima-simple")):
        write_parquet(instances(seed, 30 / (1 + seed)), INSTANCES, folder.path / "data" / f"{dataset}@30.parquet")
        for method in ("lft", "sft"):
            cell = f"tiny/{dataset}@30/{method}"
            original = f"tiny/lima@30/{method}" if seed else ""
            row = {
                "cell": cell,
                "model": "tiny",
                "dataset": dataset,
                "size": 30,
                "method": method,
                "seed": 0,
                "evalset": "ask",
            }
            grid.append(
                row | {"judges": ["alpha"], "original": original, "compared_by": ["alpha", "labels"] * bool(seed)}
            )
            answers = folder.path / "cells" / cell / "ask"
            write_parquet(random_responses(seed, N, 40 / (1 + seed)), RESPONSES, answers / "responses.parquet")
            write_parquet(random_verdicts(seed, N, 3 + seed / 2), VERDICTS, answers / "verdicts/alpha.parquet")
            if seed:
                write_parquet(pairwise(3), PAIRWISE, answers / "pairwise/alpha.parquet")
    control = {
        "cell": "tiny/none/base",
        "dataset": "",
        "size": None,
        "method": "base",
        "original": "",
        "compared_by": [],
    }
    write_rows([*grid, grid[0] | control], folder.path)


def measure(folder: Folder) -> tuple[list[dict[str, Any]], list]:
    rows, missing = build("simplification", TABLE, folder.path)
    write_csv(rows, TABLE.columns, folder.path / "tables/simplification.csv")
    return read_csv(folder.path / "tables/simplification.csv", TABLE), missing


def pick(rows: list[dict[str, Any]], **where: Any) -> dict[str, Any]:
    (row,) = (row for row in rows if all(row[key] == value for key, value in where.items()))
    return row


def test_the_registry_has_it() -> None:
    assert TABLES["simplification"] is TABLE
    assert set(metrics.CLASSES) == {*CLASSES, DISAGREEMENT}


def test_lengths_and_scores_are_paired(folder: Folder) -> None:
    fill(folder)
    rows, _ = measure(folder)
    assert {row["dataset"] for row in rows} == {"lima-simple"}
    both = [
        read_parquet(folder.path / f"data/{name}@30.parquet")["response"].to_pylist()
        for name in ("lima", "lima-simple")
    ]
    lengths = [[len(text) for text in texts] for texts in both]
    what = {"what": "dataset_response", "metric": "characters", "method": ""}
    for side, values in zip(SIDES, [*lengths, [b - a for a, b in zip(*lengths, strict=True)]], strict=True):
        row = pick(rows, side=side, **what)
        assert row["value"] == pytest.approx(statistics.fmean(values), rel=1e-9)
        assert row["ci_low"] < row["value"] < row["ci_high"]
        assert (row["n"], row["against"]) == (30, "lima@30")
    cells = [folder.path / "cells/tiny" / f"{name}@30/sft/ask" for name in ("lima", "lima-simple")]
    tokens = [[len(ids) for ids in read_parquet(cell / "responses.parquet")["token_ids"].to_pylist()] for cell in cells]
    row = pick(rows, what="model_response", metric="tokens", method="sft", side="difference")
    assert row["value"] == pytest.approx(statistics.fmean(b - a for a, b in zip(*tokens, strict=True)), rel=1e-9)
    assert row["against"] == "tiny/lima@30/sft"
    scores = []
    for cell in cells:
        verdicts = read_parquet(cell / "verdicts/alpha.parquet").to_pylist()
        scores.append({row["id"]: row["score"] for row in verdicts if row["aspect"] == "factuality"})
    pairs = [(scores[0][i], scores[1][i]) for i in scores[0] if None not in (scores[0][i], scores[1][i])]
    assert 0 < len(pairs) < N
    for side, value in zip(SIDES, (lambda a, b: a, lambda a, b: b, lambda a, b: b - a), strict=True):
        row = pick(rows, aspect="factuality", method="sft", side=side, judge="alpha")
        assert row["value"] == pytest.approx(statistics.fmean(value(*pair) for pair in pairs), rel=1e-9)
        assert (row["n"], row["n_null"]) == (len(pairs), N - len(pairs))


def test_classes_are_shares_of_the_decided_pairs(folder: Folder) -> None:
    fill(folder)
    rows, missing = measure(folder)
    found = [row["class"] for row in pairwise(3)]
    shares = [pick(rows, metric=name, method="lft", judge="alpha") for name in (*CLASSES, DISAGREEMENT)]
    for row, name in zip(shares, (*CLASSES, DISAGREEMENT), strict=True):
        assert row["value"] == pytest.approx(found.count(name) / (N - 4), rel=1e-9)
        assert (row["n"], row["n_null"], row["version"]) == (N - 4, 4, "j@1/prompt 00000000")
    assert sum(row["value"] for row in shares) == pytest.approx(1)
    nulls = [pick(rows, metric=name, method="lft", judge="alpha")["value"] for name in metrics.CLASS_NULLS]
    assert sum(nulls) == 4
    # what people have yet to label stands in the table, empty, with the command that makes it
    assert pick(rows, metric="core", method="lft", judge="labels")["n"] == 0
    results = folder.path.as_posix()
    assert [item.command for item in missing] == [
        f"snakemake {results}/cells/tiny/lima-simple@30/{method}/ask/pairwise/labels.parquet"
        for method in ("lft", "sft")
    ]


def test_it_is_drawn_in_sections(folder: Folder) -> None:
    fill(folder)
    rows, missing = measure(folder)
    page = to_markdown(sections(rows, TABLE), TABLE, missing, "make")
    assert [line for line in page.splitlines() if line.startswith("## ")][:3] == [
        "## Lengths",
        "## Scores",
        "## Classes of Figure 6",
    ]
    assert to_latex(sections(rows, TABLE), TABLE, missing, "make")
    assert widen(rows, TABLE, brief=True).lines


def test_nothing_is_there_yet(folder: Folder) -> None:
    fill(folder)
    for file in [*folder.path.rglob("*.parquet")]:
        file.unlink()
    rows, missing = measure(folder)
    assert {row["value"] for row in rows} == {None}
    assert {row["metric"] for row in rows} == set(TABLE.metrics)
    assert len(missing) == 2 + 2 * (2 + 2 + 2)
    keys = [tuple(row[name] for name in TABLE.columns[:-5]) for row in rows]
    assert len(set(keys)) == len(keys)


def test_a_grid_without_a_pair_has_no_table(folder: Folder) -> None:
    rows = [grid_row(dataset="it", size=1, judges=["alpha"])]
    assert not TABLE.fits(rows)
    assert TABLE.fits([rows[0] | {"original": "m/x/lft"}])
    assert TABLE.inputs(rows) == []
    plain = [t for t in TABLES.values() if t.asks_for in ("", "judges") and t.at_least == 1 and not t.selective]
    assert all(table.fits(rows) for table in plain)


def test_inputs() -> None:
    cell = {"cell": "m/s@1k/lft-s1", "dataset": "s", "size": 1000, "seed": 1, "original": "m/x@1000/lft-s1"}
    row = grid_row(**cell, judges=["j"], compared_by=["k"])
    assert TABLE.inputs([row]) == [
        "data/s@1k.parquet",
        "data/x@1000.parquet",
        "models/m",
        "cells/m/s@1k/lft-s1/ask/responses.parquet",
        "cells/m/x@1000/lft-s1/ask/responses.parquet",
        "cells/m/s@1k/lft-s1/ask/verdicts/j.parquet",
        "cells/m/x@1000/lft-s1/ask/verdicts/j.parquet",
        "cells/m/s@1k/lft-s1/ask/pairwise/k.parquet",
    ]


def test_other_instances_are_refused(folder: Folder, tmp_path: Path) -> None:
    folder.tokenizer()
    write_parquet(instances(0, 5, 30), INSTANCES, tmp_path / "a.parquet")
    write_parquet(instances(0, 5, 29), INSTANCES, tmp_path / "b.parquet")
    with pytest.raises(CloserlookError, match=r"b\.parquet: holds other instances than .*a\.parquet"):
        list(measure_data(tmp_path / "b.parquet", tmp_path / "a.parquet", folder.path / "models/tiny"))


NUMBERS = st.dictionaries(st.sampled_from("abcdefgh"), st.none() | st.integers(0, 5), max_size=8)


@settings(deadline=None, max_examples=40)
@given(NUMBERS, NUMBERS)
def test_pairs_against_plain_loops(original: dict[str, int | None], simplified: dict[str, int | None]) -> None:
    found = [e for _, _, e in compare_pairs({}, "score", *((tuple(d), d.values()) for d in (original, simplified)))]
    ids = set(original) | set(simplified)
    whole = [i for i in ids if original.get(i) is not None and simplified.get(i) is not None]
    assert {(e.n, e.n_null) for e in found} == {(len(whole), len(ids) - len(whole))}
    if whole:
        one, two = (statistics.fmean(d[i] for i in whole) for d in (original, simplified))
        assert [e.value for e in found] == pytest.approx([one, two, two - one], abs=1e-9)
    else:
        assert [e.value for e in found] == [None] * 3
