"""The numbers in config/reference/ are the paper's, each has its cell in the preset `paper`, and checks find what is wrong."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import REPOSITORY
from tests.support.grid import rows_of

from closerlook.config.load import read
from closerlook.core.errors import CloserlookError
from closerlook.paper import reference
from closerlook.paper.mapping import MODELS, describes, matching
from closerlook.paper.reference import ASPECTS, CLASSES, FOLDER, TASK_TYPES, Printed, printed
from closerlook.paper.suspect import CHECKS, implausible, suspects, suspects_among

SCORES = [row for row in printed() if row.kind in ("aspects", "tasks")]
PAPER = read("config/paper.yaml", REPOSITORY)
COPIES = {
    "aspects": "ghosh2024_aspects",
    "tasks": "ghosh2024_tasks",
    "lengths": "table_11_lengths",
    "kl_by_sentence_part": "figure_4_kl_by_sentence_part",
    "simplification": "figure_6_simplification_study",
    "origin": "figure_8_hallucination_origin",
    "token_shift": "urial_2023_token_shift",
}


@pytest.mark.parametrize("name", COPIES)
def test_they_are_the_papers(name: str, shared: Path) -> None:
    assert (FOLDER / f"{name}.csv").read_bytes() == (shared / "paper" / f"{COPIES[name]}.csv").read_bytes()


def test_counts() -> None:
    assert Counter(row.kind for row in SCORES) == {"aspects": 155, "tasks": 99}
    assert all(tuple(row.values) == (ASPECTS if row.kind == "aspects" else TASK_TYPES) for row in SCORES)
    assert len({(row.source, row.row) for row in printed()}) == len(printed())
    (figure,) = (row for row in printed() if row.kind == "simplification")
    assert figure.values == {**dict(zip(CLASSES, (0.115, 0.165, 0.215, 0.325, 0.18), strict=True))}
    assert sum(value for value in figure.values.values() if value) == pytest.approx(1)


def test_a_file_that_is_not_whole_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    with pytest.raises(CloserlookError, match=r"aspects\.csv: cannot be read"):
        list(reference._scores("aspects", ASPECTS))
    (tmp_path / "aspects.csv").write_text("table,row\n13,1\n")
    with pytest.raises(CloserlookError, match=r"aspects\.csv: has no column model, dataset"):
        list(reference._scores("aspects", ASPECTS))


# ------------------------------------------------------------------------------------------------------------------ mapping


def test_each_row_is_one_cell_and_evalset_and_none_is_left_over() -> None:
    """Both ways. Rows that repeat others, and the one whose test set looks mislabeled, are about the cells that they name."""
    found = list(matching(SCORES, rows_of("paper")))
    assert Counter((row.source, row.row) for row, _ in found) == {(row.source, row.row): 1 for row in SCORES}
    cells = {(one["cell"], one["evalset"]) for _, one in found}
    assert cells == {(one["cell"], one["evalset"]) for one in rows_of("paper")}
    assert len(cells) == 158
    # No cell has two rows of one kind: a table prints it once.
    assert max(Counter((row.kind, one["cell"], one["evalset"]) for row, one in found).values()) == 1


def test_the_judge_and_the_settings_are_the_papers() -> None:
    assert PAPER.preset.judges == ["gpt-4-1106-preview"]
    for cell in PAPER.cells:
        if cell.dataset:
            settings = PAPER.train_settings(cell)
            assert (settings.epochs, settings.learning_rate, settings.batch_size, settings.lora_rank) == (
                3,
                5e-5,
                32,
                8,
            )
    assert PAPER.preset.generate.temperature == 0


def row(**changes: object) -> dict[str, object]:
    known = {
        "model": "llama-2-7b",
        "dataset": "alpaca",
        "size": "52002",
        "method": "lft",
        "evalset": "just-eval-instruct",
    }
    return known | changes


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"size": 52002}, True),
        ({"size": "1000"}, False),
        ({"model": "llama-2-7b-chat"}, False),
        ({"method": "sft"}, False),
        ({"evalset": "medinstruct-test"}, False),
        ({"dataset": "", "size": "", "method": "base"}, False),
    ],
)
def test_what_a_row_is_about(changes: dict[str, object], same: bool) -> None:
    (one,) = (one for one in SCORES if (one.source, one.row) == ("Table 13", 31))
    assert describes(one, row(**changes)) is same
    assert bool(list(matching([one], [row(**changes)]))) is same


def test_untuned_rows_are_of_the_chat_controls_alone() -> None:
    (one,) = (one for one in SCORES if (one.source, one.row) == ("Table 13", 3))
    control = {"model": "llama-2-7b-chat", "dataset": "", "size": ""}
    assert describes(one, row(**control, method="chat"))
    assert not describes(one, row(**control, method="base"))
    assert not describes(one, row(model="llama-2-7b-chat"))


def test_a_small_grid_is_about_nothing_printed() -> None:
    assert not list(matching(printed(), rows_of("mini")))


# ----------------------------------------------------------------------------------------------------------- suspect rows


def found(check: str) -> set[tuple[str, int]]:
    (one,) = (one for one in CHECKS if one.__name__ == check)
    return {(row.source, row.row) for row, _ in one(SCORES)}


def test_the_checks_find_what_is_known_to_be_wrong() -> None:
    """FACTS.md, "What is weak in it", 2 and 3."""
    assert found("missing") == {("Table 16", 35)}
    assert found("other_test_set") == {("Table 13", 54)}
    repeated = {("Table 14", 43), ("Table 14", 15), ("Table 14", 44), ("Table 14", 16)}  # 70B as 13B
    repeated |= {("Table 14", 9), ("Table 13", 17)}  # 13B as 7B
    assert found("repeated") == repeated | {("Table 17", 43), ("Table 17", 55)}  # all but one value
    # NEFTune on Alpaca, filtered Dolly (in both tables)
    assert found("worse_than_plain") == {("Table 13", 53), ("Table 13", 47), ("Table 16", 30)}
    (nft,) = (reason for reason in suspects()["Table 13", 53])
    assert "in 4 of 5 values" in nft
    collapsed = [row for row in SCORES if (row.source, row.row) in found("collapsed")]
    assert {(row.model, row.method) for row in collapsed} == {("Mistral-v0.1 7B", "sft")}
    assert len([row for row in collapsed if row.dataset == "alpaca" and row.kind == "aspects"]) == 4


def test_what_else_they_find() -> None:
    """Task types and aspects of the same responses that cannot both be: two chat models, and Phi on LIMA and Alpaca."""
    assert {row.model for row in SCORES if (row.source, row.row) in found("tables_disagree")} == {
        "LLaMa-2 7B-chat-hf",
        "LLaMa-2 13B-chat-hf",
        "Phi-1.5 1.3B",
    }
    sizes = {check.__name__: len(found(check.__name__)) for check in CHECKS}
    assert sizes == {
        "missing": 1,
        "repeated": 8,
        "collapsed": 16,
        "other_test_set": 1,
        "tables_disagree": 16,
        "worse_than_plain": 3,
    }
    assert len(suspects()) == 45
    assert suspects().keys() - implausible().keys() == found(
        "worse_than_plain"
    )  # the text's word is not the tables' truth


def test_every_reason_can_be_read() -> None:
    for (source, _), reasons in suspects().items():
        assert re.fullmatch(r"Table 1[3-7]", source)
        assert all(10 < len(reason) < 160 for reason in reasons)


def printed_row(
    number: int, values: tuple[float | None, ...] = (3.1, 3.2, 3.3, 2.4, 2.5), **changes: object
) -> Printed:
    named = dict(zip(ASPECTS, values, strict=True))
    one = Printed("aspects", "Table 1", number, "a", "it", 1000, "sft", "ask", named)
    return replace(one, **changes)


def test_no_check_names_a_row() -> None:
    """The same faults in rows of other names, numbers and places are found; rows without faults are not."""
    fine = [printed_row(i, (3 + i / 10, 3.2, 3.3 - i / 10, 2.4, 2.5 + i / 7), model=f"m{i}") for i in range(4)]
    assert suspects_among(fine) == {}
    twin = printed_row(9, tuple(fine[0].values.values()), model="twin")
    assert set(suspects_among([*fine, twin])) == {("Table 1", 0), ("Table 1", 9)}
    nearly = printed_row(9, (*list(fine[0].values.values())[:4], 1.0), model="twin")
    assert set(suspects_among([*fine, nearly])) == {("Table 1", 0), ("Table 1", 9)}
    hole = printed_row(9, (3.9, None, 2.2, 2.1, 2.7), model="hole")
    assert suspects_among([*fine, hole]) == {("Table 1", 9): ("has no value for clarity",)}
    flat = printed_row(9, (1.49, 1.2, 1.1, 1.3, 1.05), model="flat")
    assert set(suspects_among([*fine, flat])) == {("Table 1", 9)}
    lost = printed_row(9, (3.9, 3.8, 2.2, 2.1, 2.7), evalset="other")
    assert set(suspects_among([*fine, lost])) == {("Table 1", 9)}


def test_models_are_in_the_catalog() -> None:
    assert set(MODELS.values()) <= set(PAPER.catalog.models)
    assert {cell.model for cell in PAPER.cells} == set(MODELS.values())
