"""Keys and links of the inspector in a real browser: everything can be done with keys alone, and links open the same view."""

import re

import pytest
from tests.support.made_results import EMPTY_ID
from tests.support.pages import LFT, SFT, answer_rows, column

pytestmark = pytest.mark.browser


def test_keys_alone_do_everything(show, small_page):
    page = show(small_page, "#/inspect")
    page.locator(".column").first.wait_for()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.wait_for_url(re.compile("id=q/4"))
    page.keyboard.press("k")
    page.wait_for_url(re.compile("id=q/3"))
    page.keyboard.press("j")
    page.wait_for_url(re.compile("id=q/4"))
    reached = tab_until(page, "document.activeElement.getAttribute('aria-label')?.startsWith('Answer of tiny/d1/lft')")
    assert reached
    page.keyboard.press("ArrowRight")
    page.get_by_role("tooltip").wait_for()
    [span] = answer_rows(small_page, LFT, "q/4", "spans/oracle.parquet")
    for _ in range(40):
        page.keyboard.press("ArrowRight")
        if page.locator(".cursor.marked").count():
            break
    left = int(page.locator(".cursor").get_attribute("data-s"))
    page.keyboard.press("Enter")
    page.locator(".sheet .instance").first.wait_for()
    assert span["quote"] in page.locator(".sheet").inner_text()
    assert page.evaluate("document.activeElement.className") == "sheet"
    page.keyboard.press("Escape")
    page.locator(".sheet").wait_for(state="detached")
    page.keyboard.press("ArrowRight")  # on from where the sheet was opened
    assert int(page.locator(".cursor").get_attribute("data-s")) == left + 1
    assert tab_until(page, "document.activeElement.matches('.list')", backwards=True)
    page.keyboard.press("ArrowDown")
    page.wait_for_url(re.compile("id=q/5"))
    page.keyboard.press("End")
    page.wait_for_url(re.compile("id=q/11"))
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Help").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.type("jk?")  # a field takes its keys
    page.wait_for_url(re.compile(r"q=jk%3F"))


def tab_until(page, condition, backwards=False):
    for _ in range(60):
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        if page.evaluate(condition):
            return True
    return False


def test_every_control_is_reached_by_tab_and_has_a_name(show, small_page):
    page = show(small_page, "#/inspect?id=q/4")
    page.locator(".column").first.wait_for()
    controls = page.locator("a[href], button:not(:disabled), select, input:not(:disabled), summary, [tabindex='0']")
    visible = [one for one in controls.all() if one.is_visible()]
    seen = set()
    for _ in range(len(visible) + 10):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    places = {one.evaluate("one => [...document.querySelectorAll('*')].indexOf(one)") for one in visible}
    assert places <= seen
    unnamed = page.evaluate("""() => [...document.querySelectorAll('button, select, input, a')].filter((one) =>
        !one.getAttribute('aria-label') && !(one.labels && one.labels.length ? one.labels[0] : one).textContent.trim()
    ).map((one) => one.outerHTML)""")
    assert not unnamed


def test_a_link_opens_the_same_view_again_and_back_goes_back(show, small_page):
    page = show(small_page, "#/inspect")
    page.locator(".column").first.wait_for()
    page.keyboard.press("j")
    page.wait_for_url(re.compile("id=q/1"))
    for _ in range(3):
        page.keyboard.press("j")
    page.wait_for_url(re.compile("id=q/4"))
    column(page, SFT).locator(".marked").first.click()
    page.wait_for_url(re.compile("at=tiny/d1/sft:"))
    page.locator(".sheet .instance").first.wait_for()
    again = show(small_page, page.url.partition("index.html")[2])
    again.locator(".sheet .instance").first.wait_for()
    assert again.locator("main").inner_text() == page.locator("main").inner_text()
    page.evaluate("history.back()")
    page.locator(".sheet").wait_for(state="detached")
    page.evaluate("history.back()")
    page.wait_for_url(re.compile("id=q/3"))
    page.evaluate("history.forward()")
    page.wait_for_url(re.compile("id=q/4"))


@pytest.mark.parametrize(
    "link",
    [
        "#/inspect?evalset=none",
        "#/inspect?cells=no/such/cell",
        "#/inspect?id=none",
        "#/inspect?at=x:1-2",
        "#/inspect?at=:::",
        f"#/inspect?id={EMPTY_ID}&at={LFT}:0-5",
        f"#/inspect?id=q/4&at={LFT}:99999-999999",
        "#/nowhere",
        "#?",
        "#/tables/none",
        "#/inspect?evalset=%F0%9F%98%80&cells=%00,,",
    ],
)
def test_a_link_to_what_is_not_there_is_answered(show, small_page, link):
    page = show(small_page, link)
    page.locator("main").wait_for()
    assert page.locator("main").inner_text().strip()
