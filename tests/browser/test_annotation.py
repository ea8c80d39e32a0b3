"""Annotation in a real browser: blind, by pointer and by keys, in code points, kept, exported and read again."""

import json
import re
from pathlib import Path

import pytest
from tests.support.made_results import FIRST_ID

from closerlook.core.files import read_parquet

pytestmark = pytest.mark.browser

CELLS = ["tiny/d1/lft", "tiny/d1/sft", "tiny/none/base"]


def begin(page, name="Ada", seed="3", count="12"):
    page.locator("input[name=annotator]").fill(name)
    page.locator("input[name=seed]").fill(seed)
    page.locator("input[name=count]").fill(count)
    page.locator("button.first").click()
    page.locator(".annotate .answers").wait_for()


def go_to(page, id_):
    """Open the task of an instruction."""
    order = page.evaluate(
        """([cells, ids]) => closerlook.blindOrder({ seed: 3, cells, count: 12 }, ids).map(({ id }) => id)""",
        [CELLS_IN_ORDER, IDS],
    )
    page.evaluate("n => (location.hash = `#/annotate?n=${n}`)", order.index(id_) + 1)
    page.wait_for_url(re.compile(f"n={order.index(id_) + 1}$"))


IDS = [f"q/{number}" for number in range(12)]
CELLS_IN_ORDER = ["tiny/none/base", "tiny/d1/lft", "tiny/d1/sft"]


def exported(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    return download.value, json.loads(Path(download.value.path()).read_text())


def texts(small_page):
    texts_by_answer = {}
    for cell in CELLS:
        for row in read_parquet(small_page.parent / f"cells/{cell}/ask/responses.parquet").to_pylist():
            texts_by_answer[cell, row["id"]] = row["text"]
    return texts_by_answer


def test_nothing_on_the_page_says_whose_answer_it_is(show, small_page):
    page = show(small_page, "#/annotate")
    begin(page)
    orders = set()
    known = {text: cell for (cell, _), text in texts(small_page).items()}
    for n in range(1, 13):
        page.wait_for_url(re.compile(f"n={n}$"))
        assert page.locator(".column h2").all_inner_texts() == ["A", "B", "C"]
        html = page.locator("#app").evaluate("one => one.outerHTML")
        assert not any(name in html for name in [*CELLS, "lft", "sft", "shifted", "marginal"])
        assert not any(name in page.url for name in ("lft", "sft", "base"))
        shown = [one.evaluate("one => one.textContent") for one in page.locator(".answer.plain").all()]
        orders.add(tuple(known[text] for text in shown if text))
        if n < 12:
            page.keyboard.press("n")
    assert len(orders) > 2  # the letters mean another cell from one instruction to the next


def test_the_order_is_the_seeds_alone(show, small_page):
    pages = []
    for name, seed in (("Ada", "3"), ("Bob", "3"), ("Cid", "4")):
        page = show(small_page, "#/annotate")
        begin(page, name, seed)
        pages.append(page.locator("main .question, main .answers").all_inner_texts())
    assert pages[0] == pages[1] != pages[2]


def test_spans_are_marked_by_pointer_in_code_points(show, small_page):
    page = show(small_page, "#/annotate")
    begin(page)
    go_to(page, FIRST_ID)
    answer = page.locator(".answer.plain").first
    answer.evaluate("""one => {
        const text = one.textContent, at = text.indexOf("cafe\\u0301");
        const walker = document.createTreeWalker(one, NodeFilter.SHOW_TEXT);
        const range = document.createRange();
        const node = walker.nextNode();
        range.setStart(node, at - 1); range.setEnd(node, at + 6);  // with the white space on both sides
        getSelection().removeAllRanges(); getSelection().addRange(range);
        document.dispatchEvent(new MouseEvent("mouseup", { bubbles: true }));
    }""")
    page.get_by_role("button", name="Not useful (u)").first.click()
    page.locator(".marks q").wait_for()
    assert page.locator(".marks q").inner_text().strip("“”") == "cafe\u0301"
    _, work = exported(page)
    [mark] = work["annotations"]
    text = texts(small_page)[mark["cell"], FIRST_ID]
    assert text[mark["start"] : mark["end"]] == "cafe\u0301"
    assert "😀" in text[: mark["start"]]  # so UTF-16 units would be off
    assert (mark["kind"], mark["origin"], mark["evalset"], mark["id"]) == ("not useful", None, "ask", FIRST_ID)
    assert work["inspected"] == [{"cell": mark["cell"], "evalset": "ask", "id": FIRST_ID}]


def test_a_real_drag_selects_what_it_covers(show, small_page):
    page = show(small_page, "#/annotate")
    begin(page)
    go_to(page, "q/5")
    answer = page.locator(".answer.plain").first
    boxes = answer.evaluate("""one => {
        const range = document.createRange(), text = one.firstChild.firstChild;
        range.setStart(text, 1); range.setEnd(text, 9);
        const box = range.getBoundingClientRect(); return [box.left, box.right, box.top + box.height / 2]; }""")
    page.mouse.move(boxes[0], boxes[2])
    page.mouse.down()
    page.mouse.move(boxes[1], boxes[2], steps=5)
    page.mouse.up()
    page.get_by_role("button", name="Not factual (f)").first.click()
    _, work = exported(page)
    [mark] = work["annotations"]
    text = texts(small_page)[mark["cell"], "q/5"]
    assert text[mark["start"] : mark["end"]] == text[1:9].strip()


def test_keys_alone_mark_unmark_choose_an_origin_and_go_on(show, small_page):
    page = show(small_page, "#/annotate")
    begin(page)
    go_to(page, "q/4")
    page.locator(".answer.plain").first.focus()
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight", "f"):
        page.keyboard.press(key)
    page.locator(".marks q").wait_for()
    quote = page.locator(".marks q").inner_text().strip("“”")
    assert len(quote.split()) == 3
    page.keyboard.press("End")
    page.keyboard.press("u")
    assert page.locator(".marks li").count() == 2
    page.keyboard.press("Delete")
    assert page.locator(".marks li").count() == 1
    page.get_by_role("button", name="origin: not given").focus()
    page.keyboard.press("Enter")
    choice = page.get_by_role("button", name="It comes from this one").first
    choice.wait_for()
    instance = page.locator(".origins .instance code").first.inner_text()
    choice.focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="origin: an instance").wait_for()
    _, work = exported(page)
    [mark] = work["annotations"]
    assert texts(small_page)[mark["cell"], "q/4"][mark["start"] : mark["end"]] == quote
    assert mark["origin"] == instance
    assert instance in read_parquet(small_page.parent / "data/d1.parquet")["id"].to_pylist()
    page.get_by_role("button", name="origin: an instance").click()
    page.get_by_role("button", name="no instance", exact=True).click()
    page.keyboard.press("n")
    _, work = exported(page)
    assert work["annotations"][0]["origin"] == "none"
    assert sorted(one["cell"] for one in work["inspected"]) == sorted(CELLS)


def test_progress_is_kept_exported_exactly_and_imported_by_a_clear_rule(show, small_page, tmp_path):
    page = show(small_page, "#/annotate")
    begin(page)
    page.locator(".answer.plain").nth(1).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("f")
    page.locator(".marks q").wait_for()
    page.reload()
    page.locator(".marks q").wait_for()
    download, work = exported(page)
    assert download.suggested_filename == "annotations-small-Ada.json"
    assert list(work) == ["version", "annotator", "preset", "annotations", "inspected"]
    assert (work["version"], work["annotator"], work["preset"]) == (1, "Ada", "small")
    assert [list(one) for one in work["annotations"]] == [["cell", "evalset", "id", "start", "end", "kind", "origin"]]
    assert [list(one) for one in work["inspected"]] == [["cell", "evalset", "id"]]

    named, other = work["annotations"][0], {"cell": CELLS[0], "evalset": "ask", "id": "q/9"}
    changed = work | {"annotations": [named | {"kind": "not useful", "origin": "none"}], "inspected": [other]}
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(changed))
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_text("changed.json: imported").wait_for()
    _, again = exported(page)
    assert again["annotations"] == changed["annotations"]
    assert again["inspected"] == [other]  # the file marks the first answer, but does not list it as inspected

    for wrong, reason in (
        ("{", "not JSON"),
        (json.dumps(work | {"version": 2}), "its version is 2"),
        (json.dumps(work | {"annotator": "Bob"}), "the file's annotator is"),
        (json.dumps(work | {"preset": "paper"}), "the file's preset is"),
        (json.dumps(work | {"annotations": [named | {"end": named["start"]}]}), r"annotations[0] is not as expected"),
        (json.dumps(work | {"inspected": [None]}), r"inspected[0] is not as expected"),
        ("[]", "its version is undefined"),
    ):
        file.write_text(wrong)
        page.locator("input[type=file]").set_input_files(file)
        page.get_by_text(re.compile(re.escape(f"changed.json was not imported: {reason}"))).or_(
            page.get_by_text(f"was not imported: it is {reason}")
        ).first.wait_for()
    assert exported(page)[1] == again


def test_two_tabs_do_not_overwrite_each_other(show, small_page):
    page = show(small_page, "#/annotate")
    begin(page)
    other = page.context.new_page()
    other.goto(page.url)
    for tab, place in ((page, 0), (other, 1)):
        tab.locator(".answer.plain").nth(place).focus()
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("f")
        tab.locator(".marks").nth(place).locator("q").wait_for()
    page.locator(".marks").nth(1).locator("q").wait_for()
    assert len(exported(page)[1]["annotations"]) == len(exported(other)[1]["annotations"]) == 2


def test_without_storage_work_lasts_as_long_as_the_page_is_open(browser, small_page):
    context = browser.new_context()
    context.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('off'); } })")
    page = context.new_page()
    page.goto(f"file://{small_page}/index.html#/annotate")
    begin(page)
    page.locator(".answer.plain").nth(1).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("f")
    page.get_by_text("This browser does not save your work.").wait_for()
    page.get_by_role("link", name="Overview").click()
    page.locator("table.grid").wait_for()
    page.go_back()
    page.locator(".marks q").wait_for()
    assert len(exported(page)[1]["annotations"]) == 1
    context.close()


@pytest.mark.parametrize(
    ("text", "units", "points"),
    [
        ("abc", (0, 3), (0, 3)),
        ("a😀b", (1, 3), (1, 2)),
        ("a😀b", (2, 3), (1, 2)),  # half an emoji is taken whole
        ("a😀b", (3, 4), (2, 3)),
        ("😀😀😀", (2, 6), (1, 3)),
        ("  x  ", (0, 5), (2, 3)),
        (" \n ", (0, 3), None),
        ("e\u0301😀", (0, 4), (0, 3)),
        ("שלום", (1, 3), (1, 3)),
        ("", (0, 0), None),
    ],
)
def test_offsets_are_code_points(show, small_page, text, units, points):
    page = show(small_page)
    page.locator("main").wait_for()
    trimmed = page.evaluate("([text, start, end]) => closerlook.trimmedPoints(text, start, end)", [text, *units])
    assert (tuple(trimmed) if trimmed else None) == points
    if points:
        assert text[slice(*points)].strip() == text[slice(*points)]
