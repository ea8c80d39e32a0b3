"""The page as a whole in a real browser: overview, tables, damaged files, and when its data files are loaded."""

import csv
import re
import shutil
from pathlib import Path

import pytest
from tests.support.made_results import SVG
from tests.support.pages import wait_until

from closerlook.report.page.build import build
from closerlook.report.page.pack import ENCODING

pytestmark = pytest.mark.browser


def test_the_overview_shows_claims_and_the_grids_state(show, small_page):
    page = show(small_page)
    page.locator("table.grid").wait_for()
    assert page.locator("h1").inner_text() == "small"
    claims = page.locator("table.claims tbody tr").first.inner_text().split("\n")
    assert "LFT has more factuality than SFT on the same data" in claims[0]
    answers = page.locator("table.claims .answer .badge")
    assert answers.all_inner_texts() == ["✓ holds", "✗ does not hold"] * 2
    pairs = page.locator("table.claims details").first
    assert not pairs.locator(".badge").is_visible()
    pairs.get_by_text("1 pair").click()
    assert pairs.locator("li").all_inner_texts() == ["✓ holds tiny / d1@1000 / ask"]
    grid = page.locator("table.grid tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in grid] == ["tiny/d1/lft", "tiny/d1/sft", "tiny/none/base"]
    assert "missing" not in " ".join(grid)
    page.get_by_role("link", name="tiny/d1/sft").click()
    page.locator(".column").wait_for()


def test_what_is_missing_is_said_with_its_command(show, small_page, tmp_path):
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost/grid.json").write_text((small_page.parent / "grid.json").read_text())
    build(tmp_path / "lost", tmp_path / "report")
    page = show(tmp_path / "report")
    assert page.locator("td.missing").count() == 19
    page.get_by_text("Commands that make the missing files").click()
    assert "/cells/tiny/d1/lft/ask/shift.parquet" in page.locator("pre").inner_text()
    for link, message in (
        ("inspect", "No cell has answers yet."),
        ("tables", "There are no tables yet."),
        ("annotate", "No cell has answers to annotate yet."),
    ):
        page.goto(page.url.partition("#")[0] + f"#/{link}")
        page.get_by_text(message).wait_for()


def test_a_data_file_that_is_gone_is_named(browser, small_page, tmp_path):
    build(small_page.parent, tmp_path / "report")
    (tmp_path / "report/data/cell-0.js").unlink()
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"file://{tmp_path}/report/index.html#/inspect")
    page.get_by_text("data/cell-0.js is missing").wait_for(timeout=5000)
    context.close()


def damaged(text, how):
    return {
        "cut": text[: len(text) // 2],
        "empty": "",
        "no such characters": text.replace('"', '"%', 3),
        "another's bytes": text[: len(text) // 2] + text[len(text) // 2 + 400 :],
    }[how]


@pytest.mark.parametrize("how", ["cut", "empty", "no such characters", "another's bytes"])
@pytest.mark.parametrize("name", ["site", "cell-0", "table-odd_ones"])
def test_a_damaged_data_file_is_named(browser, small_page, tmp_path, name, how):
    shutil.copytree(small_page, tmp_path / "report")
    file = tmp_path / f"report/data/{name}.js"
    file.write_text(damaged(file.read_text(ENCODING), how), ENCODING)
    context = browser.new_context()
    page = context.new_page()
    link = {"site": "", "cell-0": "#/inspect", "table-odd_ones": "#/tables/odd_ones"}[name]
    page.goto(f"file://{tmp_path}/report/index.html{link}")
    page.get_by_text(f"data/{name}.js cannot be read").wait_for(timeout=5000)
    context.close()


@pytest.mark.parametrize("script", ["vendor/htm-preact-3.1.1.js", "store.js", "app.js"])
def test_without_a_script_the_page_is_not_blank(browser, small_page, tmp_path, script):
    shutil.copytree(small_page, tmp_path / "report")
    (tmp_path / "report" / script).unlink()
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"file://{tmp_path}/report/index.html")
    page.get_by_text("a file of the page is missing or damaged").wait_for(timeout=5000)
    context.close()


def test_another_view_begins_at_its_top(show, small_page):
    page = show(small_page, viewport={"width": 1000, "height": 300})
    page.locator(".cards").wait_for()
    page.evaluate("scrollTo(0, 1e6)")
    assert page.evaluate("scrollY") > 100
    page.locator(".cards").get_by_role("link", name="odd ones").click()
    page.locator("table.data").wait_for()
    assert page.evaluate("scrollY") == 0


def test_a_tables_link_holds_its_sorting_and_filters(show, small_page):
    page = show(small_page, "#/tables/odd_ones")
    page.get_by_role("button", name="value").click()
    page.get_by_role("button", name="value").click()
    page.locator(".controls select").first.select_option("n0")
    page.get_by_label("Filter").focus()
    page.keyboard.type("n0 cafe")
    page.wait_for_url(re.compile("q=n0%20cafe"))
    again = show(small_page, page.url.partition("index.html")[2])
    again.locator("table.data").wait_for()
    assert again.locator("th").nth(2).get_attribute("aria-sort") == "descending"
    assert again.get_by_label("Filter").input_value() == "n0 cafe"
    rows = again.locator("table.data tbody tr").all_inner_texts()
    assert rows == page.locator("table.data tbody tr").all_inner_texts()
    assert len(rows) > 1
    assert all(row.startswith("n0") for row in rows)


def test_a_long_tables_headings_stay_in_sight(show, small_page):
    page = show(small_page, "#/tables/odd_ones", viewport={"width": 1000, "height": 500})
    page.locator("table.data").wait_for()
    page.locator("table.data tbody tr").last.scroll_into_view_if_needed()
    head, last = page.locator("table.data th").first, page.locator("table.data tbody tr").last
    assert 0 < head.bounding_box()["y"] < last.bounding_box()["y"] < 500


def test_a_table_is_sorted_and_filtered(show, small_page):
    with (small_page.parent / "tables/odd_ones.csv").open(newline="") as stream:
        header, *rows = list(csv.reader(stream))
    page = show(small_page, "#/tables/odd_ones")
    page.locator("table.data").wait_for()

    def values():
        return page.locator("table.data tbody tr td:nth-child(3)").all_inner_texts()

    assert values() == [row[2] for row in rows]
    button = page.get_by_role("button", name=header[2])
    button.click()
    ascending = sorted(float(row[2]) for row in rows if row[2])
    assert [float(value) for value in values()[:-1]] == ascending
    assert values()[-1] == ""
    assert page.locator("th").nth(2).get_attribute("aria-sort") == "ascending"
    button.press("Enter")
    assert [float(value) for value in values()[:-1]] == ascending[::-1]
    assert values()[-1] == ""  # what is empty comes last, whichever way
    page.locator(".controls select").first.select_option("n1")
    page.get_by_label("Filter").fill("script img")
    expected = [row[2] for row in rows if row[0] == "n1" and "script" in row[1] and "img" in row[1]]
    assert sorted(values()) == sorted(expected)
    assert f"{len(expected)} of 41 rows" in page.locator(".controls").inner_text()


@pytest.mark.parametrize(
    ("cell", "key"),
    [
        ("3.03 (2.9, 3.1)", 3.03),
        ("-0.5", -0.5),
        ("1,234", 1234),
        ("12.5%", 12.5),
        ("2.00e-5", 2e-5),
        ("brief", "brief"),
        ("", ""),
        ("−1", -1),
    ],
)
def test_cells_sort_by_their_number(show, small_page, cell, key):
    page = show(small_page)
    assert page.evaluate("cell => closerlook.sortKey(cell)", cell) == key


@pytest.mark.parametrize("name", ["odd_ones", "claims"])
def test_a_tables_csv_is_the_file_it_was_read_from(show, small_page, name):
    page = show(small_page, f"#/tables/{name}")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    assert download.value.suggested_filename == f"{name}.csv"
    text = (small_page.parent / f"tables/{name}.csv").read_bytes()
    assert Path(download.value.path()).read_bytes() == text.replace(b"\r\n", b"\n")


def test_figures_are_shown(show, small_page):
    page = show(small_page, "#/tables/odd_ones")
    assert page.get_by_role("link", name="odd figure").get_attribute("href") == "figures/odd_figure.svg"
    assert (small_page / "figures/odd_figure.svg").read_text() == SVG


def test_800_answers_of_six_cells_are_read_when_a_view_needs_them(show, large_page):
    page = show(large_page)
    page.locator("table.grid").wait_for()
    read = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/cell-')).length"
    assert page.evaluate(read) == 0
    page = show(large_page, "#/inspect?id=q/400")
    page.locator(".answer .shifted").first.wait_for()
    page.locator("input[name=q]").fill("question 77")
    wait_until(page, "document.querySelectorAll('.list [role=option]').length === 11")
    assert sum(path.stat().st_size for path in large_page.rglob("*") if path.is_file()) < 11e6
