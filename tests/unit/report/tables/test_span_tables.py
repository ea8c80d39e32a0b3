"""The tables of marked spans against plain loops over characters and tokens, and an independent Krippendorff's alpha."""

from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import pytest
from tests.support.grid import grid_row, write_rows
from tests.support.synthetic import Folder, shift_row

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_csv, write_parquet
from closerlook.core.schemas import RESPONSES, SHIFT, SPANS
from closerlook.report.tables.build import build
from closerlook.report.tables.draw import to_latex, to_markdown
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.spans import measure_span_classes, read_marks
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import sections, widen

OURS = {name: TABLES[name] for name in ("spans", "span_agreement")}

N = 60
CAUSES = ("unaligned", "refused", "unparsable", "error", "not marked")


def texts(rng: np.random.Generator) -> list[str]:
    return ["", "é", *("".join(rng.choice(list("ab 😀\u0301."), int(rng.integers(2, 40)))) for _ in range(N - 2))]


def spans(rng: np.random.Generator, answers: list[str], marker: str) -> list[dict[str, Any]]:
    """Random spans, some on top of each other, and nulls of every cause."""
    rows = []
    for i, text in enumerate(answers):
        blank = {"id": str(i), "note": None, "origin": None, "marker": marker, "quote": None}
        null = blank | {"start": None, "end": None, "kind": None}
        if i % 10 == 9:
            rows.append(null | {"null_cause": str(rng.choice(CAUSES[1:]))})
            continue
        for _ in range(int(rng.integers(0, 4)) if text else 0):
            start = int(rng.integers(0, len(text)))
            end = int(rng.integers(start + 1, len(text) + 1))
            kind = str(rng.choice(["not factual", "not useful"]))
            rows.append(
                blank | {"start": start, "end": end, "quote": text[start:end], "kind": kind, "null_cause": None}
            )
        if i % 7 == 0:
            rows.append(null | {"null_cause": "unaligned", "quote": "gone"})
    return rows


def shifts(rng: np.random.Generator, answers: list[str]) -> list[dict[str, Any]]:
    """Tokens that begin anywhere, several at the same place (pieces of one character), none in an empty text."""
    rows = []
    for i, text in enumerate(answers):
        count = int(rng.integers(1, len(text) + 2)) if text else 0
        starts = sorted([0, *rng.integers(0, len(text), count - 1).tolist()]) if count else []
        ranks = rng.choice([1, 1, 1, 2, 3, 4, 90], count).tolist()
        rows.append(shift_row(str(i), token_ids=[1] * count, base_rank=ranks, token_start=starts))
    return rows


@pytest.fixture
def filled(folder: Folder) -> Folder:
    """Two tuned cells (one not marked yet) and a control, two markers."""
    grid = []
    for seed, (subset, run) in enumerate([("lima@30", "sft"), ("none", "base"), ("lima@30", "lft")]):
        cell = f"tiny/{subset}/{run}"
        dataset = "lima" if subset != "none" else ""
        row = {"cell": cell, "model": "tiny", "dataset": dataset, "size": 30 if dataset else None, "method": run}
        grid.append(row | {"seed": 0, "evalset": "ask", "markers": ["truth", "other"]})
        rng = np.random.default_rng(seed)
        answers, place = texts(rng), folder.path / "cells" / cell / "ask"
        blank = {"prompt": "", "prompt_token_ids": [], "token_ids": [], "finish_reason": "eos"}
        rows = [blank | {"id": str(i), "text": text} for i, text in enumerate(answers)]
        write_parquet(rows, RESPONSES, place / "responses.parquet")
        if run != "lft":
            for marker in ("truth", "other"):
                write_parquet(spans(rng, answers, f"{marker}@1"), SPANS, place / f"spans/{marker}.parquet")
        if dataset:
            write_parquet(shifts(rng, answers), SHIFT, place / "shift.parquet")
    write_rows(grid, folder.path)
    return folder


def measure(name: str, folder: Folder) -> tuple[list[dict[str, Any]], list]:
    table, path = OURS[name], folder.path / f"tables/{name}.csv"
    rows, missing = build(name, table, folder.path)
    write_csv(rows, table.columns, path)
    rows = read_csv(path, table)
    keys = [tuple(row[column] for column in table.columns[:-5]) for row in rows]
    assert len(set(keys)) == len(keys)
    drawing = (sections(rows, table), table, missing, "again")
    assert all((to_markdown(*drawing), to_latex(*drawing), widen(rows, table, brief=True)))
    return rows, missing


def pick(rows: list[dict[str, Any]], **where: Any) -> dict[str, Any]:
    (row,) = (row for row in rows if all(row[key] == value for key, value in where.items()))
    return row


class Cell:
    """What a cell's files say, read without the tables' code."""

    def __init__(self, folder: Folder, name: str, marker: str) -> None:
        import pyarrow.parquet as pq

        place = folder.path / "cells" / name / "ask"
        answers = pq.read_table(place / "responses.parquet").to_pylist()
        self.rows = pq.read_table(place / f"spans/{marker}.parquet").to_pylist()
        out = {row["id"] for row in self.rows if row["null_cause"] not in (None, "unaligned")}
        self.texts = {row["id"]: row["text"] for row in answers if row["id"] not in out}
        self.spans = [row for row in self.rows if row["null_cause"] is None]
        self.marked = {(row["id"], i) for row in self.spans for i in range(row["start"], row["end"])}
        self.shift = place / "shift.parquet"


def test_the_registry_has_them() -> None:
    assert all(TABLES[name] is table for name, table in OURS.items())
    row = grid_row(dataset="s", markers=["oracle"])
    assert OURS["spans"].fits([row])
    assert not OURS["span_agreement"].fits([row])
    assert OURS["span_agreement"].fits([row | {"markers": ["oracle", "judge"]}])
    for empty in ([], [row | {"markers": []}]):
        assert not any(table.fits(empty) or table.inputs(empty) for table in OURS.values())


@pytest.mark.parametrize("cell", ["tiny/lima@30/sft", "tiny/none/base"])
def test_spans_are_counted(filled: Folder, cell: str) -> None:
    rows, _ = measure("spans", filled)
    plain = Cell(filled, cell, "truth")
    n = len(plain.texts)
    assert n == 54
    mine = [
        row for row in rows if row["method"] == cell.split("/")[2] and row["marker"] == "truth" and not row["tokens"]
    ]
    expected = {
        "inspected": n,
        "marked": len({row["id"] for row in plain.spans}) / n,
        "spans": len(plain.spans) / n,
        "spans_not_factual": sum(row["kind"] == "not factual" for row in plain.spans) / n,
        "spans_not_useful": sum(row["kind"] == "not useful" for row in plain.spans) / n,
        "characters": len(plain.marked) / sum(map(len, plain.texts.values())),
    }
    for cause in CAUSES:
        expected[f"null_{cause.replace(' ', '_')}"] = sum(row["null_cause"] == cause for row in plain.rows)
    assert {row["metric"]: row["value"] for row in mine} == pytest.approx(expected)
    assert {row["version"] for row in mine} == {"truth@1"}
    assert {(row["n"], row["n_null"]) for row in mine if row["metric"] != "characters"} == {(54, 6)}
    for metric in ("marked", "spans", "characters"):
        row = pick(mine, metric=metric)
        assert row["ci_low"] < row["value"] < row["ci_high"]


def test_classes_of_span_tokens(filled: Folder) -> None:
    import pyarrow.parquet as pq

    rows, _ = measure("spans", filled)
    plain = Cell(filled, "tiny/lima@30/sft", "other")
    found: list[tuple[str, bool]] = []
    for row in pq.read_table(plain.shift).to_pylist():
        if row["id"] not in plain.texts:
            continue
        for start, name in zip(row["token_start"], row["class"], strict=True):
            end = min([s for s in row["token_start"] if s > start], default=len(plain.texts[row["id"]]))
            found.append((name, any((row["id"], i) in plain.marked for i in range(start, end))))
    inside = [name for name, is_marked in found if is_marked]
    mine = [row for row in rows if row["method"] == "sft" and row["marker"] == "other" and row["tokens"]]
    for wanted in (("unshifted",), ("marginal",), ("shifted",), ("shifted", "marginal")):
        metric = "shifted_or_marginal" if len(wanted) > 1 else wanted[0]
        marked = sum(name in wanted for name in inside) / len(inside)
        everything = sum(name in wanted for name, _ in found) / len(found)
        values = {"marked": marked, "all": everything, "difference": marked - everything}
        for tokens, value in values.items():
            row = pick(mine, metric=metric, tokens=tokens)
            assert row["value"] == pytest.approx(value)
            assert row["ci_low"] < row["value"] < row["ci_high"]
    assert pick(mine, metric="tokens", tokens="marked")["value"] == len(inside)
    assert pick(mine, metric="tokens", tokens="all")["value"] == len(found)
    assert {row["method"] for row in rows if row["tokens"]} == {"sft", "lft"}  # a control has no shift


def test_agreement(filled: Folder) -> None:
    rows, _ = measure("span_agreement", filled)
    assert {(row["marker"], row["against"]) for row in rows} == {("other", "truth")}
    one, truth = (Cell(filled, "tiny/none/base", name) for name in ("other", "truth"))
    both = one.texts.keys() & truth.texts.keys()
    a, b = ({place for place in cell.marked if place[0] in both} for cell in (one, truth))
    everywhere = [(id_, i) for id_ in sorted(both) for i in range(len(one.texts[id_]))]

    def overlapping(cell: Cell, marked: set) -> float:
        mine = [s for s in cell.spans if s["id"] in both]
        return sum(any((s["id"], i) in marked for i in range(s["start"], s["end"])) for s in mine) / len(mine)

    expected = {
        "precision": len(a & b) / len(a),
        "precision_chance": len(b) / len(everywhere),
        "recall": len(a & b) / len(b),
        "recall_chance": len(a) / len(everywhere),
        "f1": 2 * len(a & b) / (len(a) + len(b)),
        "span_precision": overlapping(one, b),
        "span_recall": overlapping(truth, a),
        "alpha": krippendorff.alpha(
            [[int(p in marked) for p in everywhere] for marked in (a, b)], level_of_measurement="nominal"
        ),
    }
    mine = [row for row in rows if row["method"] == "base"]
    assert {row["metric"]: row["value"] for row in mine} == pytest.approx(expected)
    assert all(row["ci_low"] < row["value"] < row["ci_high"] for row in mine)
    assert {(row["version"], row["version_against"]) for row in mine} == {("other@1", "truth@1")}


def test_alike_and_empty_markers(filled: Folder) -> None:
    place = filled.path / "cells/tiny/none/base/ask/spans"
    (place / "other.parquet").write_bytes((place / "truth.parquet").read_bytes())
    mine = [row for row in measure("span_agreement", filled)[0] if row["method"] == "base"]
    for metric in ("precision", "recall", "f1", "span_precision", "span_recall", "alpha"):
        assert pick(mine, metric=metric)["value"] == 1
    write_parquet([], SPANS, place / "other.parquet")
    mine = [row for row in measure("span_agreement", filled)[0] if row["method"] == "base"]
    assert pick(mine, metric="precision")["value"] is None
    assert pick(mine, metric="recall")["value"] == pick(mine, metric="recall_chance")["value"] == 0
    write_parquet([], SPANS, place / "truth.parquet")
    mine = [row for row in measure("span_agreement", filled)[0] if row["method"] == "base"]
    assert pick(mine, metric="alpha")["value"] is None


def test_what_is_missing_is_named(filled: Folder) -> None:
    for name, files in (("spans", 2), ("span_agreement", 2)):
        rows, missing = measure(name, filled)
        absent = [row for row in rows if row["method"] == "lft"]
        assert {row["value"] for row in absent} == {None}
        assert {row["metric"] for row in absent} == set(OURS[name].metrics)
        assert len(missing) == files
        assert all("tiny/lima@30/lft/ask/spans/" in one.command for one in missing)


@pytest.mark.parametrize(
    "change",
    [{"id": "gone"}, {"end": 10**6}, {"start": 5, "end": 5}, {"kind": "odd"}, {"null_cause": "error"}, {"start": None}],
)
def test_broken_files_are_refused(filled: Folder, change: dict[str, Any]) -> None:
    place = filled.path / "cells/tiny/lima@30/sft/ask"
    rows = spans(np.random.default_rng(0), texts(np.random.default_rng(0)), "m")
    first = next(row for row in rows if row["null_cause"] is None)
    write_parquet([first | change], SPANS, place / "spans/truth.parquet")
    with pytest.raises(CloserlookError, match=r"truth\.parquet: row 0: id"):
        read_marks(place / "spans/truth.parquet", place / "responses.parquet")


def test_a_shift_of_other_responses_is_refused(filled: Folder, tmp_path: Path) -> None:
    place = filled.path / "cells/tiny/lima@30/sft/ask"
    write_parquet([shift_row("other", token_ids=[1])], SHIFT, tmp_path / "shift.parquet")
    with pytest.raises(CloserlookError, match="holds other responses"):
        list(
            measure_span_classes(place / "spans/truth.parquet", place / "responses.parquet", tmp_path / "shift.parquet")
        )
