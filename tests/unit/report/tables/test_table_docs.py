"""docs/tables.md describes every table and metric, and captions stay short."""

import re
from pathlib import Path

import pytest

from closerlook.report.tables.draw import to_markdown
from closerlook.report.tables.registry import TABLES

DOCS = Path(__file__).parents[4] / "docs"
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", (DOCS / "tables.md").read_text(encoding="utf-8"), re.M))


def test_every_section_is_a_table() -> None:
    assert list(SECTIONS)[1:] == list(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_sections_name_metrics_and_keys(name: str) -> None:
    table = TABLES[name]
    absent = [column for column in (*table.metrics, *table.keys) if f"`{column}`" not in SECTIONS[name]]
    assert not absent
    assert table.method == f"docs/tables.md#{name}"


@pytest.mark.parametrize("name", TABLES)
def test_captions_have_at_most_two_sentences(name: str) -> None:
    assert len(re.findall(r"\.(?: |$)", TABLES[name].caption)) <= 2


OTHER_INTERVALS = {
    "ablation": "(Welch)",
    "borrowing": "(Satterthwaite)",
    "claims": "t test",
    "origin": "[borrowing]",
    "paraphrase": "(Student's)",
    "planted": "(Newcombe 1998)",
    "tradeoff": "(delta\nmethod)",
}


@pytest.mark.parametrize("name", TABLES)
def test_a_drawn_table_says_what_its_intervals_are(name: str) -> None:
    """Not that all but shares are the bootstrap's: means over trainings never are, and some tables have others."""
    table = TABLES[name]
    assert OTHER_INTERVALS.get(name, "") in SECTIONS[name]
    note = to_markdown([], table, [], "make").split("\n\n")[2]
    if not table.unit:
        assert note == "Counts have no intervals."
        return
    assert f"95% intervals over {table.unit}: exact for shares, by bootstrap" in note
    assert "for most other values of one training, else by the formulas of the method" in note
