"""Hostile text: the CSV keeps it, Markdown shows it literally, LaTeX compiles."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.support.table_rows import HOSTILE

from closerlook.core.files import write_csv
from closerlook.report.tables.draw import to_latex, to_markdown
from closerlook.report.tables.registry import TABLES
from closerlook.report.tables.tidy import read_csv
from closerlook.report.tables.wide import widen
from closerlook.text.escape import latex, markdown, number, visible

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def token_rows(tokens: list[str], model: str = "tiny") -> list[dict[str, Any]]:
    identity = {"model": model, "dataset": "d|", "size": "1000", "method": "l_ft", "seed": "0", "evalset": "<e>"}
    numbers = {"metric": "share", "value": 0.125, "ci_low": 0.1, "ci_high": 0.2, "n": 4, "n_null": 0}
    return [
        identity | {"class": "shifted", "rank": str(i), "token": token} | numbers for i, token in enumerate(tokens, 1)
    ]


@settings(max_examples=80, deadline=None)
@given(st.lists(text, max_size=6))
def test_csv_keeps_every_text(tmp_path_factory: pytest.TempPathFactory, tokens: list[str]) -> None:
    table, path = TABLES["top_shifted_tokens"], tmp_path_factory.mktemp("csv") / "t.csv"
    write_csv(rows := token_rows(tokens), table.columns, path)
    assert read_csv(path, table) == rows


def test_csv_keeps_hostile_text_and_ten_digits(tmp_path: Path) -> None:
    table, rows = TABLES["top_shifted_tokens"], token_rows(HOSTILE, model="a,\n")
    rows[0] |= {"value": 1 / 3, "ci_low": None, "ci_high": float("nan")}
    write_csv(rows, table.columns, tmp_path / "t.csv")
    assert read_csv(tmp_path / "t.csv", table) == [rows[0] | {"value": 0.3333333333, "ci_high": None}, *rows[1:]]


class Shown(HTMLParser):
    """Text and tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags = "", []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)


@settings(max_examples=150, deadline=None)
@given(text | st.sampled_from(HOSTILE))
def test_markdown_shows_text_literally(raw: str) -> None:
    page = (
        MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
        .render(f"| a | b |\n| --- | --- |\n| {markdown(raw)} | x |\n")
    )
    shown = Shown(page)
    assert shown.tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]
    cell = re.search(r"<td>(.*?)</td>", page, re.DOTALL)[1]
    assert Shown(cell).text == visible(raw, " ").strip(" ")


@given(text | st.sampled_from(HOSTILE))
def test_visible_is_one_line_that_hides_nothing(raw: str) -> None:
    shown = visible(raw)
    assert shown.isprintable()
    assert " " not in shown
    assert len(shown) >= len(raw)


@settings(max_examples=200)
@given(text | st.sampled_from(HOSTILE))
def test_latex_is_ascii_and_balanced(raw: str) -> None:
    drawn = latex(raw)
    assert drawn.isascii()
    bare = re.sub(r"\\[{}$&#%_]", "", drawn)  # escaped signs
    depth = 0
    for character in bare:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    assert not set(re.sub(r"\$\\[A-Za-z]+\$", "", bare)) & set("&#%_")
    # the only commands are our own
    assert not re.findall(r"\\(?!text|char|[`'^~\"cv]\{)[A-Za-z]+", re.sub(r"\$\\[A-Za-z]+\$", "", bare))


@pytest.mark.parametrize("lines", [len(HOSTILE), 60])
def test_latex_compiles(tmp_path: Path, lines: int) -> None:
    table = TABLES["lengths"]
    rows = token_rows((HOSTILE * 3)[:lines])
    rows = [row | {"what": row["token"], "dataset": str(i), "metric": "tokens"} for i, row in enumerate(rows)]
    fragment = to_latex([widen(rows, table)], table, [], "make \\x\n\\y")
    kind = "longtable" if lines > 40 else "tabular"
    assert fragment.count(f"\\begin{{{kind}}}") == fragment.count(f"\\end{{{kind}}}") == 1
    body = [line for line in fragment.splitlines() if not line.startswith("%")]
    assert all(line.endswith(r"\\") or line.startswith("\\") for line in body)
    columns = len(re.match(r"\\begin\{\w+\}\{([lrp]+)\}", body[0])[1])
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body if line.endswith(r"\\")} == {columns - 1}
    assert "p{" not in body[0]  # none of these texts is long
    long = [row | {"what": row["what"] * 40} for row in rows]
    broken = to_latex([widen(long, table)], table, [], "make").split("\\toprule")[0].splitlines()[-1]
    assert broken.count(r"p{0.45\linewidth}") == 1
    if shutil.which("pdflatex"):
        document = (
            "\\documentclass{article}\\usepackage{booktabs,longtable}\\begin{document}\n" + fragment + "\\end{document}"
        )
        (tmp_path / "t.tex").write_text(document, encoding="utf-8")
        subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)


def test_commands_in_markdown_cannot_leave_their_code() -> None:
    table, rows = TABLES["top_shifted_tokens"], token_rows(["x"])
    page = to_markdown([widen(rows, table)], table, [], "make `a` ``b`` <b>\n# h")
    shown = Shown(MarkdownIt("commonmark").enable("table").render(page))
    assert "make `a` ``b`` <b> # h" in shown.text
    assert "b" not in shown.tags
    assert shown.tags.count("h1") == 1


@pytest.mark.parametrize(
    ("value", "kind", "written"),
    [
        (None, "number", "–"),
        (0.0, "number", "0.00"),
        (1, "number", "1.00"),
        (0.01234, "number", "0.0123"),
        (9.996, "number", "10.0"),
        (99.96, "number", "100"),
        (1234.5, "number", "1,234"),
        (1.5e-5, "number", "1.50e-05"),
        (2e38, "number", "2.00e+38"),
        (-0.5, "number", "-0.500"),
        (0.12345, "share", "12.3%"),
        (1, "share", "100.0%"),
        (262144, "count", "262,144"),
    ],
)
def test_numbers(value: float | None, kind: str, written: str) -> None:
    assert number(value, kind) == written


@pytest.mark.parametrize(("null", "shown"), [("", True), ("matched", False)])
def test_what_is_said_of_all_rows_is_true_of_all_that_were_measured(null: str, shown: bool) -> None:
    """A criterion without a null, beside one that has it: the null is a column, nothing that all rows have."""
    blank = dict.fromkeys(
        ("model", "dataset", "size", "method", "seed", "evalset", "marker", "searched", "criterion", "null"), "m"
    )
    measured = {"metric": "observed", "value": 0.5, "ci_low": None, "ci_high": None, "n": 2, "n_null": 0}
    rows = [blank | measured | {"criterion": "words", "null": "matched"}, blank | measured | {"null": null}]
    wide = widen(rows, TABLES["origin"])
    assert ("null" in wide.header) == shown
    assert ("null matched" in wide.common) != shown
