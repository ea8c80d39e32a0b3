"""The tables of tracing: rates and levels as counted by hand, scores as a random order gives them, missing cells named."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap
from tests.support.grid import grid_row, write_rows

from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_csv, write_parquet
from closerlook.core.schemas import BORROWING, INSTANCES, RESPONSES, SPANS, TRACE
from closerlook.miniature.language import ATTRIBUTES, predicate
from closerlook.miniature.world import draw_world
from closerlook.report.tables import metrics, origin, scoreboard
from closerlook.report.tables.borrowing import Counts, compare, measure_borrowing
from closerlook.report.tables.build import build
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import sections

COLUMNS = ("cell", "dataset", "size", "method", "searched")
counts = st.lists(st.tuples(*[st.integers(0, 6)] * 4), min_size=1, max_size=12)


@settings(deadline=None, max_examples=40)
@given(counts)
def test_rates_are_ratios_of_sums(rows: list[tuple[int, int, int, int]]) -> None:
    pairs = [(min(a, b), b, min(c, d), d) for a, b, c, d in rows]
    observed, level = np.array([r[:2] for r in pairs]).T, np.array([r[2:] for r in pairs]).T
    found = compare([observed], [level])[0]
    used = [r for r in pairs if r[1]]
    a, b, c, d = (sum(r[i] for r in used) for i in range(4))
    compared = sum(r[3] > 0 for r in used)
    assert [(e.n, e.n_null) for e in found] == [(n, len(pairs) - n) for n in (len(used), compared, len(used))]
    wanted = (
        a / b if b else None,
        c / d if b and d else None,
        a / b - c / d if b and d else None,
    )
    for estimate, value in zip(found, wanted, strict=True):
        assert estimate.value == (None if value is None else pytest.approx(value))


def test_intervals_are_those_of_a_paired_bootstrap() -> None:
    generator = np.random.default_rng(0)
    observed = generator.integers(0, 5, 60) + np.array([[0], [5]])
    level = generator.integers(0, 4, 60) + np.array([[0], [6]])
    found = compare([observed], [level])[0][2]

    def difference(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray, axis: int) -> np.ndarray:
        return a.sum(axis) / b.sum(axis) - c.sum(axis) / d.sum(axis)

    wanted = bootstrap((*observed, *level), difference, paired=True, method="percentile", n_resamples=9999, rng=1)
    assert found.low == pytest.approx(wanted.confidence_interval.low, abs=0.01)
    assert found.high == pytest.approx(wanted.confidence_interval.high, abs=0.01)


@given(st.integers(1, 6), st.integers(1, 7), st.integers(1, 8))
def test_a_random_order_scores_what_all_orders_score_on_average(true: int, instances: int, top: int) -> None:
    true = min(true, instances)
    truth = frozenset(str(i) for i in range(true))
    orders = itertools.combinations(range(1, instances + 1), true)  # the ranks of the true ones; all are as likely
    every = [
        scoreboard.score_ranking({rank: str(i) for i, rank in enumerate(ranks)}, truth, min(top, instances))
        for ranks in orders
    ]
    assert scoreboard.expected_scores(true, instances, top) == pytest.approx(np.mean(every, axis=0))


def borrowing_rows(**searched: dict[str, list[tuple[int, int]]]) -> list[dict[str, Any]]:
    """Rows of one unit and length: by dataset and null, found and looked for by response."""
    return [
        {
            "id": f"r{i}",
            "searched": name,
            "unit": "shifted",
            "ngram": 2,
            "where": "all",
            "null": null,
            "draw": 0,
            "found": f,
            "phrases": p,
        }
        for name, nulls in searched.items()
        for null, pairs in nulls.items()
        for i, (f, p) in enumerate(pairs)
    ]


def test_borrowing_is_read_by_axis_and_compared(tmp_path: Path) -> None:
    own = {
        "observed": [(1, 2), (0, 0), (3, 4)],
        "unrelated": [(1, 2), (0, 0), (0, 4)],
        "base_answer": [(2, 2), (1, 1), (9, 9)],
    }
    write_parquet(borrowing_rows(own=own, other={"observed": [(0, 2)]}), BORROWING, tmp_path / "b.parquet")
    read = Counts(tmp_path / "b.parquet")
    assert read.select(searched="own", unit="shifted", where="all", null="observed", ngram=2).tolist() == [
        [1, 0, 3],
        [2, 0, 4],
    ]
    assert not read.select(searched="own", unit="none", where="all", null="observed", ngram=2).any()
    found = {(keys["searched"], keys["null"], name): e for keys, name, e in measure_borrowing(tmp_path / "b.parquet")}
    assert {key[0] for key in found} == {"own"}  # a dataset that is compared with nothing has no rate to stand beside
    assert found["own", "unrelated", "difference"].value == pytest.approx(4 / 6 - 1 / 6)
    assert not {name for _, _, name in found} - {"observed", "level", "difference"}, "only chance is corrected for"
    assert (found["own", "unrelated", "observed"].n, found["own", "unrelated", "observed"].n_null) == (2, 1)
    assert found["own", "base_answer", "level"].value == 1
    write_parquet(borrowing_rows(own={"unrelated": [(1, 2)]}), BORROWING, tmp_path / "b.parquet")
    with pytest.raises(CloserlookError, match="comparisons only"):
        Counts(tmp_path / "b.parquet")
    write_parquet([], BORROWING, tmp_path / "b.parquet")
    assert list(measure_borrowing(tmp_path / "b.parquet")) == []


def results(folder: Path) -> Path:
    """A folder with a traced cell of the miniature, one that is not there, and a control: a wrong value with two true sources."""
    world = draw_world(MiniatureSettings())
    entity, other = (e for e in world.entities[:2])
    attribute = next(iter(entity.values))
    wrong, third = [v for v in ATTRIBUTES[attribute].values if v != entity.values[attribute]][:2]
    pairs = [
        ("q", f"{other.name} {predicate(attribute, 0, wrong)}."),
        (f"{other.name} {predicate(attribute, 1, wrong)}.", "yes"),
        ("q", f"{other.name} {predicate(attribute, 0, third)}."),
        *[("q", f"nothing {i}") for i in range(7)],
    ]
    rows = [{"id": f"i{i}", "instruction": a, "response": b, "source": "t", "row": i} for i, (a, b) in enumerate(pairs)]
    write_parquet(rows, INSTANCES, folder / "data/brief@10.parquet")
    here = folder / "cells/m/brief@10/sft/ask"
    text = f"{entity.name} {predicate(attribute, 0, wrong)}."
    start = text.index(wrong)
    span = {"id": "r0", "start": start, "end": start + len(wrong)}
    empty = {"id": "r1", "start": 0, "end": 3}
    responses = [{"id": "r0", "text": text}, {"id": "r1", "text": "abc def"}]
    write_parquet(responses, RESPONSES, here / "responses.parquet")
    quoted = [{**span, "quote": wrong, "origin": "i0"}, {**empty, "quote": "abc", "origin": "none"}]
    write_parquet(
        [row | {"kind": "not factual", "marker": "m"} for row in quoted], SPANS, here / "spans/oracle.parquet"
    )
    known = {"searched": "brief@10", "instances": 2, "instances_words": 2, "longest": 1, "matched": 0.5}
    nothing = {"searched": "brief@10", "instances": 0, "instances_words": 0, "longest": 0, "matched": 0.25}
    trace = [
        {
            **span,
            **known,
            "instance": "i2",
            "rank_bm25": 1,
            "bm25": 3.0,
            "rank_fused": 1,
            "fused": 1 / 61,
            "semantic": 0.5,
            "semantic_other": 0.1,
            "keyword": 0.4,
            "keyword_other": 0.2,
        },
        {
            **span,
            **known,
            "instance": "i0",
            "rank_bm25": 2,
            "bm25": 1.0,
            "rank_lexical": 1,
            "verbatim": True,
            "shared": 3,
            "rank_fused": 2,
            "fused": 1 / 62,
            "semantic": 0.3,
            "keyword": 0.4,
        },
        {**empty, **nothing, "instance": None},
    ]
    write_parquet(trace, TRACE, here / "trace/oracle.parquet")
    level = {"observed": [(3, 4)] * 5, "unrelated": [(1, 4)] * 5}
    other_set = {"observed": [(1, 4), (2, 4), (0, 4)], "unrelated": [(1, 4), (1, 4), (1, 4)]}
    counts = borrowing_rows(**{"brief@10": level, "else": other_set})
    parts = {"tuned_on": [3], "held_out": [0, 2], "tuned_on_small": [3], "held_out_small": [0, 2]}
    for null, found in ({"observed": [3]} | parts).items():
        whole = {"searched": "brief@10", "unit": "span:oracle", "ngram": 0, "where": "all", "null": null, "phrases": 4}
        counts += [whole | {"id": f"r{i}", "draw": draw, "found": n} for draw, n in enumerate(found) for i in range(5)]
    write_parquet(counts, BORROWING, here / "borrowing.parquet")
    grid = [
        ("m/brief@10/sft", "brief", 10, "sft", ["brief@10", "else"]),
        ("m/brief@10/lft", "brief", 10, "lft", ["brief@10"]),
        ("m/none/base", "", None, "base", []),
    ]
    known = {"model": "m", "evalset": "ask", "markers": ["oracle"]}
    write_rows([known | dict(zip(COLUMNS, row, strict=True)) for row in grid], folder)
    return folder


def values(rows: list[dict[str, Any]], **wanted: str) -> dict[str, Any]:
    return {row["metric"]: row["value"] for row in rows if all(str(row[key]) == value for key, value in wanted.items())}


def test_the_scoreboard_knows_the_true_sources(tmp_path: Path) -> None:
    rows, missing = build("tracing_scoreboard", TABLES["tracing_scoreboard"], results(tmp_path))
    assert values(rows, method="sft", ranker="lexical")["right"] == 1, "no candidate of the span that has no source"
    assert values(rows, method="sft", ranker="bm25")["right"] == 0.5
    assert values(rows, method="sft", ranker="bm25")["auroc"] == 1
    rows = [row for row in rows if row["metric"] not in metrics.ABSTENTION]
    assert values(rows, method="sft", ranker="lexical") == {"precision_at_1": 1, "recall_at_top": 0.5, "mrr": 1}
    assert values(rows, method="sft", ranker="bm25") == {"precision_at_1": 0, "recall_at_top": 0.5, "mrr": 0.5}
    assert values(rows, method="sft", ranker="fused") == {"precision_at_1": 0, "recall_at_top": 0.5, "mrr": 0.5}
    expected = dict(zip(scoreboard.RANKINGS, scoreboard.expected_scores(2, 10, 2), strict=True))
    assert values(rows, method="sft", ranker="random") == pytest.approx(expected)
    alone = values(rows, method="sft", ranker="", part="sources")
    assert alone == {"traceable": 0.5, "true_sources": 2}
    calibration = [row for row in rows if row["part"] == "calibration"]
    assert {row["searched"] for row in calibration} == {"else"}
    assert {row["method"] for row in calibration} == {"sft"}
    assert values(calibration) == {"difference": 0, "holds_zero": 1}
    assert [item.needed_by for item in missing] == ["m/brief@10/lft on ask"] * 2
    assert {row["value"] for row in rows if row["method"] == "lft"} == {None}


def test_origin_by_every_criterion(tmp_path: Path) -> None:
    rows, _ = build("origin", TABLES["origin"], results(tmp_path))
    assert values(rows, method="sft", criterion="verbatim") == {"from_data": 0.5}
    assert values(rows, method="sft", criterion="two_thirds") == {"from_data": 0.5}
    assert values(rows, method="sft", criterion="human") == {"from_data": 0.5}
    words = values(rows, method="sft", criterion="words", null="matched")
    assert words == pytest.approx({"from_data": 0.5, "level": 0.375, "difference": 0.125})
    # Of the span of the other response a ranker picks no instance, which then holds nothing.
    assert values(rows, method="sft", criterion="first_lexical") == {"from_data": 0.5, "level": 0, "difference": 0.5}
    assert values(rows, method="sft", criterion="first_bm25") == {"from_data": 0, "level": 0, "difference": 0}
    chance = values(rows, method="sft", criterion="words", null="held_out")
    assert chance == pytest.approx(
        {"from_data": 0.75, "level": 0.25, "difference": 0.5, "corrected": 2 / 3, "p": 1 / 3}
    )
    counted = {(row["n"], row["n_null"]) for row in rows if row["method"] == "sft" and row["null"] != "held_out"}
    assert counted == {(2, 3)}, "criteria are of the same responses; three of the five have no span"
    assert [row["metric"] for row in rows if row["method"] == "lft"] == ["from_data"]
    assert not any(row["method"] == "base" for row in rows)


def test_a_control_is_measured_in_each_dataset_that_it_was_traced_in(tmp_path: Path) -> None:
    folder = results(tmp_path)
    tuned, control = folder / "cells/m/brief@10/sft/ask", folder / "cells/m/none/base/ask"
    shutil.copytree(tuned, control)
    trace = read_parquet(tuned / "trace/oracle.parquet").to_pylist()
    absent = {"searched": "else", "instances": 0, "instances_words": 0, "longest": 0, "instance": None}
    elsewhere = [row | dict.fromkeys(r for r in TRACE.names if r.startswith("rank_")) | absent for row in trace[1:]]
    write_parquet(trace + elsewhere, TRACE, control / "trace/oracle.parquet")
    shutil.copyfile(folder / "data/brief@10.parquet", folder / "data/else.parquet")
    rows = json.loads((folder / "grid.json").read_text())
    rows[-1]["searched"] = ["brief@10", "else"]
    write_rows(rows, folder)
    origins, _ = build("origin", TABLES["origin"], folder)
    for method in ("sft", "base"):
        own = {"criterion": "verbatim", "searched": "brief@10"}
        assert values(origins, method=method, **own) == {"from_data": 0.5}
    assert values(origins, method="base", criterion="verbatim", searched="else") == {"from_data": 0}
    assert not values(origins, method="sft", searched="else"), "a tuned cell is traced in its own dataset alone"
    scored, _ = build("tracing_scoreboard", TABLES["tracing_scoreboard"], folder)
    found = {row["searched"]: row["value"] for row in scored if (row["method"], row["metric"]) == ("base", "traceable")}
    assert found == {"brief@10": 0.5, "else": 0.5}
    assert not values(scored, method="base", part="calibration"), "a control has no data of its own to calibrate beside"
    similar, _ = build("similarity", TABLES["similarity"], folder)
    assert {row["searched"] for row in similar if row["method"] == "base" and row["value"]} == {"brief@10"}


def test_similarity_stands_beside_that_of_another_response(tmp_path: Path) -> None:
    folder = results(tmp_path) / "cells/m/brief@10/sft/ask"
    paths = [folder / "trace/oracle.parquet", folder / "responses.parquet"]
    measured = list(origin.measure_similarity([({"searched": "brief@10"}, paths)]))
    found = {(keys["ranker"], name): estimate.value for _, keys, name, estimate in measured}
    assert found["bm25", "semantic"] == pytest.approx(0.5)
    assert found["bm25", "semantic_other"] == pytest.approx(0.1)
    assert ("lexical", "semantic_other") not in found
    assert found["lexical", "keyword"] == pytest.approx(0.4)
    assert {(e.n, e.n_null) for _, _, _, e in measured} == {(1, 1)}, "to the second span no instance was found"
    assert not list(origin.measure_similarity([({"searched": "brief"}, paths)])), "another dataset's spans are others"


def test_an_interval_of_what_neither_dataset_holds_says_nothing_of_calibration(tmp_path: Path) -> None:
    path = tmp_path / "b.parquet"
    cell = {"own": "own"}
    own = {"observed": [(1, 2)] * 3, "unrelated": [(1, 2)] * 3}

    def share(observed: list[tuple[int, int]], unrelated: list[tuple[int, int]]) -> list[tuple[float | None, int]]:
        write_parquet(borrowing_rows(own=own, other={"observed": observed, "unrelated": unrelated}), BORROWING, path)
        found = scoreboard.measure_calibration([(cell, [path])])
        return [(estimate.value, estimate.n) for _, _, name, estimate in found if name == "holds_zero"]

    assert share([(0, 2), (0, 3), (0, 2)], [(0, 2), (0, 3), (0, 2)]) == []
    assert share([(1, 2), (0, 2), (2, 2)], [(0, 2), (1, 2), (1, 2)]) == [(1, 1)]
    assert share([(2, 2)] * 3, [(1, 2)] * 3) == [(0, 1)]  # no width, but far from 0


@pytest.mark.parametrize("name", ["borrowing", "origin", "similarity", "tracing_scoreboard"])
def test_tables_are_drawn_and_asked_for_where_datasets_are_searched(tmp_path: Path, name: str) -> None:
    table = TABLES[name]
    rows, missing = build(name, table, results(tmp_path))
    assert missing
    assert {row["metric"] for row in rows} <= set(table.metrics)
    assert all(set(row) == set(table.columns) for row in rows)
    write_csv(rows, table.columns, tmp_path / f"{name}.csv")
    assert any(wide.lines for wide in sections(read_csv(tmp_path / f"{name}.csv", table), table))
    assert table.fits([grid_row(dataset="it", searched=["a"])])
    assert not table.fits([grid_row(dataset="it")])
