"""Choosing responses and cells in a real browser: filters list what passes, and are set by hand."""

import re

import pytest
from tests.support.pages import LFT, SFT, column, rows, wait_until

pytestmark = pytest.mark.browser


def ids_listed(page):
    return [int(text) - 1 for text in page.locator(".list [role=option] > .small").all_inner_texts()]


@pytest.mark.parametrize(
    "query",
    [
        "q=question 7",
        "task=writing",
        "class=shifted&share=25",
        "span=yes",
        "span=no",
        "judge=gpt&aspect=clarity&diff=3",
    ],
)
def test_filters_list_what_passes(show, small_page, query):
    page = show(small_page, f"#/inspect?cells={LFT},{SFT}&{query.replace(' ', '%20')}")
    page.locator(".list").wait_for()
    instructions = rows(small_page, "evalsets/ask.parquet")
    wanted = dict(pair.split("=") for pair in query.split("&"))
    files = {
        cell: {
            name: rows(small_page, f"cells/{cell}/ask/{name}.parquet")
            for name in ("responses", "shift", "spans/oracle", "verdicts/gpt")
        }
        for cell in (LFT, SFT)
    }

    def passes(place, row):
        if "q" in wanted:
            texts = [row["instruction"], *(files[cell]["responses"][place]["text"] for cell in files)]
            return any(wanted["q"] in text.lower() for text in texts)
        if "task" in wanted:
            return wanted["task"] in row["task_types"]
        if "class" in wanted:
            classes = [files[cell]["shift"][place]["class"] for cell in files]
            return any(names and names.count("shifted") / len(names) >= 0.25 for names in classes)
        if "span" in wanted:
            marked = any(span["id"] == row["id"] for cell in files for span in files[cell]["spans/oracle"])
            return marked == (wanted["span"] == "yes")
        scores = [
            next(v["score"] for v in files[cell]["verdicts/gpt"] if v["id"] == row["id"] and v["aspect"] == "clarity")
            for cell in files
        ]
        return None not in scores and abs(scores[0] - scores[1]) >= 3

    expected = [place for place, row in enumerate(instructions) if passes(place, row)]
    assert ids_listed(page) == expected
    assert len(expected) < len(instructions)


def test_filters_are_set_by_hand_and_cleared(show, small_page):
    page = show(small_page, "#/inspect")
    page.get_by_text("More filters").click()
    page.locator("select[name=task]").select_option("writing")
    page.wait_for_url(re.compile("task=writing"))
    assert "4 of 12" in page.get_by_role("complementary", name="Responses").inner_text()
    page.locator("select[name=aspect]").select_option("clarity")
    page.locator("input[name=diff]").fill("2")
    page.locator("input[name=diff]").press("Tab")
    page.wait_for_url(re.compile("diff=2"))
    page.locator("input[name=q]").fill("no such word")
    page.get_by_text("No response passes the filters.").wait_for()
    page.get_by_role("button", name="Clear filters").click()
    wait_until(page, "document.querySelectorAll('.list [role=option]').length === 12")


def test_cells_are_added_and_left_out(show, small_page):
    page = show(small_page, f"#/inspect?cells={LFT}")
    page.locator("select[name=add]").select_option(SFT)
    column(page, SFT).wait_for()
    page.get_by_role("button", name=f"Remove {LFT}").click()
    column(page, LFT).wait_for(state="detached")
    assert page.locator(".column h2 .small").all_inner_texts() == [SFT]
