"""The paper's numbers beside ours: on a synthetic folder whose cells are some of the paper's."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.grid import rows_of, write_rows
from tests.support.synthetic import Folder

from closerlook.core.files import write_csv
from closerlook.paper.reference import printed
from closerlook.report.tables.build import build
from closerlook.report.tables.draw import to_latex, to_markdown
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import sections

TABLE = TABLES["reproduction"]
CELL = {"model": "llama-2-7b", "dataset": "alpaca", "size": 52002, "method": "sft", "seed": 0}
CELL |= {"cell": "llama-2-7b/alpaca/sft", "evalset": "just-eval-instruct", "judges": ["gpt", "other"]}
CHAT = CELL | {
    "cell": "llama-2-7b-chat/none/chat",
    "model": "llama-2-7b-chat",
    "dataset": "",
    "size": None,
    "method": "chat",
}
OTHER = CELL | {"cell": "llama-2-7b/dolly/bias", "dataset": "dolly", "method": "bias"}
GRID = [CELL, CELL | {"cell": "llama-2-7b/alpaca/lft", "method": "lft"}, CHAT, OTHER]


def measured(name: str, cells: list[dict[str, Any]], folder: Folder, **value: Any) -> list[dict[str, Any]]:
    """Rows of another table, each with all its columns."""
    number = {"value": 2.5, "ci_low": 2.4, "ci_high": 2.6, "n": 790, "n_null": 10}
    table = TABLES[name]
    return [
        dict.fromkeys(table.columns, "") | {k: v for k, v in cell.items() if k in table.columns} | number | value
        for cell in cells
    ]


@pytest.fixture
def rows(folder: Folder) -> list[dict[str, Any]]:
    """Ours: every score of `gpt` 2.5, characters 400, the first KL 0.9; what `other` said and all else is not there."""
    write_rows(GRID, folder.path)
    aspects = [
        row
        for aspect in ("helpfulness", "factuality")
        for row in measured(
            "scores_by_aspect", [CELL, CHAT], folder, judge="gpt", aspect=aspect, metric="score_na_five", version="v1"
        )
    ]
    task = measured(
        "scores_by_task", [CELL], folder, judge="gpt", aspect="mean", task_type="math", metric="score_na_five"
    )
    wrong = measured(
        "scores_by_task",
        [CELL],
        folder,
        judge="gpt",
        aspect="helpfulness",
        task_type="math",
        metric="score_na_five",
        value=9.0,
    )
    lengths = measured(
        "lengths", [CELL], folder, what="model_response", metric="characters", value=400.0, ci_low=390.0, ci_high=410.0
    )
    taught = dict.fromkeys(("method", "seed", "evalset"), "")
    lengths += measured("lengths", [CELL | taught], folder, what="dataset_response", metric="characters", value=270.0)
    kl = measured("kl_by_sentence_part", [CELL], folder, part="first_5pct", metric="kl_base_tuned", value=0.9)
    tables = {
        "scores_by_aspect": aspects,
        "scores_by_task": [*wrong, *task],
        "lengths": lengths,
        "kl_by_sentence_part": kl,
    }
    for name, content in tables.items():
        write_csv(content, TABLES[name].columns, folder.path / f"tables/{name}.csv")
    found, missing = build("reproduction", TABLE, folder.path)
    assert not missing
    write_csv(found, TABLE.columns, folder.path / "tables/reproduction.csv")
    return read_csv(folder.path / "tables/reproduction.csv", TABLE)


def value(rows: list[dict[str, Any]], metric: str, **where: Any) -> dict[str, Any]:
    (row,) = (r for r in rows if r["metric"] == metric and all(r[key] == str(v) for key, v in where.items()))
    return row


def test_ours_theirs_and_the_difference(rows: list[dict[str, Any]]) -> None:
    where = {"model": "llama-2-7b", "method": "sft", "judge": "gpt", "measured": "factuality"}
    ours = value(rows, "ours", **where)
    assert (ours["value"], ours["ci_low"], ours["n"], ours["n_null"], ours["version"]) == (2.5, 2.4, 790, 10, "v1")
    assert (ours["source"], ours["row"]) == ("Table 13", "32")
    assert value(rows, "paper", **where)["value"] == 2.07
    difference = value(rows, "difference", **where)
    assert [difference[name] for name in ("value", "ci_low", "ci_high")] == pytest.approx([0.43, 0.33, 0.53])


def test_each_kind_of_number_has_its_table(rows: list[dict[str, Any]]) -> None:
    sft = {"method": "sft"}
    assert (
        value(rows, "ours", measured="math", judge="gpt", **sft)["value"] == 2.5
    )  # the mean over aspects, as the paper's
    assert value(rows, "difference", measured="model_response", **sft)["value"] == pytest.approx(400 - 416.81)
    taught = value(rows, "difference", measured="dataset_response")
    assert taught["value"] == pytest.approx(270 - 270.31)
    assert (taught["model"], taught["method"], taught["dataset"]) == ("", "", "alpaca")
    assert value(rows, "ours", measured="first_5pct", **sft)["value"] == 0.9
    assert value(rows, "difference", measured="last_95pct", **sft)["value"] is None  # ours is not there
    assert value(rows, "paper", measured="last_95pct", **sft)["value"] == 0.74
    assert value(rows, "ours", model="llama-2-7b-chat", measured="helpfulness", judge="gpt")["value"] == 2.5
    assert {r["value"] for r in rows if r["judge"] == "other" and r["metric"] == "ours"} == {None}


def test_nothing_that_is_not_printed(rows: list[dict[str, Any]]) -> None:
    assert not [r for r in rows if r["method"] == "bias"]
    keys = [tuple(r[name] for name in TABLE.columns[:-5]) for r in rows]
    assert len(set(keys)) == len(keys)
    assert len(keys) == 3 * (2 * (2 * 5 + 2 * 7 + 5 + 7) + 2 * 2 + 1 + 1)  # two judges; KL, lengths


def test_suspect_rows_say_why(rows: list[dict[str, Any]]) -> None:
    why = {r["suspect"] for r in rows if r["model"] == "llama-2-7b-chat" and r["source"] == "Table 16"}
    assert len(why) == 1
    assert "is not between the task types' 2.54 and 4.07 (Table 13, row 3)" in why.pop()
    assert {r["suspect"] for r in rows if r["source"] == "Table 13" and r["method"] == "sft"} == {""}


def test_it_is_drawn(rows: list[dict[str, Any]]) -> None:
    page = to_markdown(sections(rows, TABLE), TABLE, [], "make")
    assert "| ours | paper | difference | n |" in page
    assert to_latex(sections(rows, TABLE), TABLE, [], "make")


def test_who_marked_and_who_compared(folder: Folder) -> None:
    """Each marker's spans and each one's comparisons stand apart; where people said what a span is from, that counts."""
    kept = {
        "seed": 0,
        "evalset": "just-eval-instruct",
        "model": "llama-2-7b",
        "method": "sft",
        "size": 1000,
    }
    lima = kept | {"cell": "llama-2-7b/lima/sft", "dataset": "lima", "markers": ["people", "gpt"], "searched": ["lima"]}
    simple = kept | {"cell": "llama-2-7b/lima-simple/sft", "dataset": "lima-simple", "original": lima["cell"]}
    simple |= {"compared_by": ["gpt", "labels"]}
    write_rows([lima, simple], folder.path)
    spans = {"metric": "from_data"}
    origins = [
        *measured("origin", [lima], folder, marker="gpt", criterion="verbatim", value=0.6, **spans),
        *measured("origin", [lima], folder, marker="people", criterion="verbatim", value=0.7, **spans),
        *measured("origin", [lima], folder, marker="people", criterion="words", null="matched", value=0.9, **spans),
        *measured("origin", [lima], folder, marker="people", criterion="human", value=0.8, **spans),
    ]
    classes = [
        row
        for judge, share in (("gpt", 0.1), ("labels", 0.3))
        for row in measured("simplification", [simple], folder, judge=judge, metric="core", value=share)
    ]
    for name, content in {"origin": origins, "simplification": classes}.items():
        write_csv(content, TABLES[name].columns, folder.path / f"tables/{name}.csv")
    rows, _ = build("reproduction", TABLE, folder.path)
    ours = {(row["measured"], row["judge"]): row["value"] for row in rows if row["metric"] == "ours"}
    assert (ours["from_data", "people"], ours["from_data", "gpt"]) == (0.8, 0.6)
    assert (ours["core", "gpt"], ours["core", "labels"], ours["prolonged", "gpt"]) == (0.1, 0.3, None)
    assert {judge for name, judge in ours if name in ("from_data", "core")} == {"people", "gpt", "labels"}


def test_before_its_tables_are_there(folder: Folder) -> None:
    write_rows(GRID, folder.path)
    rows, missing = build("reproduction", TABLE, folder.path)
    assert {Path(item.command.split()[1]).stem for item in missing} == {
        "scores_by_aspect",
        "scores_by_task",
        "lengths",
        "kl_by_sentence_part",
    }
    assert {row["value"] for row in rows} == {None}


def test_the_whole_paper_is_in_the_table_of_its_preset() -> None:
    rows = rows_of("paper")
    (part,) = TABLE.parts
    asked = {(row["source"], row["row"], row["measured"]) for row in part.rows(rows)}
    known = {(one.source, str(one.row), name) for one in printed() for name in one.values}
    assert known <= asked
    names = TABLE.inputs(rows)
    assert set(names) >= {
        f"tables/{name}.csv" for name in ("scores_by_aspect", "scores_by_task", "lengths", "simplification")
    }
    assert TABLE.fits(rows)
    assert not TABLE.fits(rows_of("mini"))
