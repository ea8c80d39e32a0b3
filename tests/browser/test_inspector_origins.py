"""Where spans and words may come from, in a real browser: instances, ranks, comparisons, and the sheet that shows them."""

import re

import pytest
from tests.support.pages import BASE, LFT, SFT, answer_rows, column, wait_until

pytestmark = pytest.mark.browser


def test_a_marked_span_shows_its_instances_their_ranks_and_what_to_compare_with(show, small_page):
    page = show(small_page, "#/inspect?id=q/4")
    [span] = answer_rows(small_page, LFT, "q/4", "spans/oracle.parquet")
    trace = answer_rows(small_page, LFT, "q/4", "trace/oracle.parquet")
    column(page, LFT).locator(".marked").first.click()
    sheet = page.locator(".sheet")
    sheet.locator(".instance").first.wait_for()
    text = sheet.inner_text()
    assert span["quote"] in text
    assert "3 instances contain it verbatim" in text
    assert "of equally long and frequent phrases of other answers, 3.1% are found" in " ".join(text.split())
    assert "fused 1, lexical 1, bm25 1, semantic 1" in text
    assert "gradient" not in text
    sheet.get_by_role("button", name="Show all 10 candidates").click()
    wait_until(page, "document.querySelectorAll('.sheet section:first-of-type .instance').length >= 10")
    shown = sheet.locator(".instance code").all_inner_texts()[:10]
    assert shown == [row["instance"] for row in trace]
    words = {word.lower() for word in span["quote"].split()}
    marks = sheet.locator("mark").all_inner_texts()
    assert marks
    assert all(set(mark.lower().split()) <= words for mark in marks)


def test_a_word_shows_the_instances_that_contain_it_and_what_to_compare_with(show, small_page):
    page = show(small_page, "#/inspect?id=q/5")
    word = next(row for row in answer_rows(small_page, SFT, "q/5", "words.parquet") if row["candidates"])
    place = next(
        i
        for i, start in enumerate(answer_rows(small_page, SFT, "q/5", "shift.parquet")[0]["token_start"])
        if start >= word["start"] - 1
    )
    column(page, SFT).locator(".answer > span").nth(place).click()
    sheet = page.locator(".sheet")
    sheet.locator(".instance").first.wait_for()
    assert sheet.locator(".instance code").all_inner_texts() == word["candidates"]
    assert "observed" in sheet.inner_text()
    assert "80.0%" in sheet.inner_text()
    assert "65.0%" in sheet.inner_text()


def test_where_the_run_is_not_whole_the_word_is_highlighted(show, small_page):
    """A candidate contains the word, but not always the run around it. Part of the run without the word would mislead."""
    page = show(small_page)
    marks = page.evaluate("""() => {
        const { html, render } = htmPreact;
        const box = document.body.appendChild(document.createElement("div"));
        return [["Where?", "A gate of the temple."], ["One of the gates?", "A temple."]].map((texts) => {
            render(html`<${closerlook.Instance} row=${["i", ...texts]} phrase="of the temple" word="temple"
                candidate=${{}} />`, box);
            return [...box.querySelectorAll("mark")].map((mark) => mark.textContent);
        });
    }""")
    assert marks == [["of the temple"], ["temple"]]


def test_a_control_has_nothing_to_search(show, small_page):
    page = show(small_page, f"#/inspect?cells={BASE}&id=q/5&at={BASE}:0-5")
    assert "A control was tuned on no dataset" in page.locator(".sheet").inner_text()


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 600}, {"width": 390, "height": 844}])
def test_what_was_clicked_stays_in_sight_of_the_sheet_about_it(show, small_page, viewport):
    page = show(small_page, "#/inspect?id=q/5", viewport=viewport)
    column(page, SFT).locator(".answer > span").last.click()
    page.locator(".sheet").wait_for()
    again = show(small_page, page.url.partition("index.html")[2], viewport=viewport)
    again.locator(".sheet").wait_for()
    for one in (page, again):
        wait_until(
            one,
            """() => {
            const [word, sheet] = [".selected", ".sheet"].map((name) =>
                document.querySelector(name).getBoundingClientRect());
            return 0 <= word.top && word.bottom <= sheet.top; }""",
        )


def test_on_a_narrow_screen_a_click_is_answered_in_sight(show, small_page):
    page = show(small_page, "#/inspect?id=q/4", viewport={"width": 390, "height": 844})
    column(page, SFT).locator(".marked").first.click()
    page.locator(".sheet .instance").first.wait_for()
    box = page.locator(".sheet h2").bounding_box()
    assert 0 <= box["y"] < 844 - box["height"]
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Next response (j)").click()
    page.wait_for_url(re.compile("id=q/5"))
    box = page.locator(".instruction").first.bounding_box()
    assert 0 <= box["y"] < 422
