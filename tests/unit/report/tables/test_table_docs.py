"""docs/tables.md describes every table and metric, and captions stay short."""

import re
from pathlib import Path

import pytest

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
