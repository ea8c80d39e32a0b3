"""The inspector in a real browser: what it shows is what the files say, and everything can be done with keys alone."""

import re

import pytest
from tests.support.made_results import EMPTY_ID, FIRST_ID, HUGE_ID
from tests.support.pages import wait_until

from closerlook.core.files import read_parquet

pytestmark = pytest.mark.browser

LFT, SFT, BASE = "tiny/d1/lft", "tiny/d1/sft", "tiny/none/base"


def column(page, cell):
    return page.get_by_role("region", name=cell, exact=True)


def rows(small_page, file):
    return read_parquet(small_page.parent / file).to_pylist()


def answer_rows(small_page, cell, id_, file):
    return [row for row in rows(small_page, f"cells/{cell}/ask/{file}") if row["id"] == id_]


def ids_listed(page):
    return [int(text) - 1 for text in page.locator(".list [role=option] > .small").all_inner_texts()]


def test_base_lft_and_sft_of_one_dataset_stand_side_by_side(show, small_page):
    page = show(small_page, "#/inspect")
    page.locator(".column").first.wait_for()
    assert page.locator(".column h2 .small").all_inner_texts() == [BASE, LFT, SFT]
    boxes = [column(page, cell).bounding_box() for cell in (BASE, LFT, SFT)]
    assert boxes[0]["y"] == boxes[1]["y"] == boxes[2]["y"]
    assert boxes[0]["x"] < boxes[1]["x"] < boxes[2]["x"]


def test_tokens_are_colored_by_class_and_their_text_is_the_answer(show, small_page):
    page = show(small_page, "#/inspect?id=q/5")
    [shift], [answer] = (
        answer_rows(small_page, LFT, "q/5", "shift.parquet"),
        answer_rows(small_page, LFT, "q/5", "responses.parquet"),
    )
    spans = column(page, LFT).locator(".answer > span")
    assert "".join(spans.evaluate_all("all => all.map((one) => one.textContent)")) == answer["text"]
    shown = spans.evaluate_all("all => all.map((one) => one.className.split(' ')[0])")
    assert shown == shift["class"]  # no span is marked in it, so every token is a segment
    colors = {
        name: spans.nth(shift["class"].index(name)).evaluate("one => getComputedStyle(one).backgroundColor")
        for name in set(shown)
    }
    assert len(set(colors.values())) == len(colors) > 1


def test_hover_shows_rank_probability_kl_and_the_bases_top_five(show, small_page):
    page = show(small_page, "#/inspect?id=q/5")
    [shift] = answer_rows(small_page, LFT, "q/5", "shift.parquet")
    place = shift["class"].index("shifted")
    column(page, LFT).locator(".answer > span").nth(place).hover()
    tip = page.get_by_role("tooltip")
    assert f"base rank {shift['base_rank'][place]:,}" in " ".join(tip.inner_text().split())
    kl = shift["kl_base_tuned"][place]
    assert float(tip.locator("dd").nth(2).inner_text()) == pytest.approx(kl, abs=0.005 + 0.02 * max(1, kl))
    shares = [float(text.strip("<>%")) / 100 for text in tip.locator(".top li > span:last-child").all_inner_texts()]
    assert len(shares) == 5
    assert shares == pytest.approx(shift["base_top5_probs"][place], abs=0.02)
    page.mouse.move(2, 2)
    assert tip.count() == 0


def test_a_marked_span_shows_its_instances_their_ranks_and_the_chance_level(show, small_page):
    page = show(small_page, "#/inspect?id=q/4")
    [span] = answer_rows(small_page, LFT, "q/4", "spans/oracle.parquet")
    trace = answer_rows(small_page, LFT, "q/4", "trace/oracle.parquet")
    column(page, LFT).locator(".marked").first.click()
    sheet = page.locator(".sheet")
    sheet.locator(".instance").first.wait_for()
    text = sheet.inner_text()
    assert span["quote"] in text
    assert "3 instances hold it verbatim" in text
    assert "chance level: 3.1%" in text
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


def test_a_word_shows_the_instances_that_hold_it_beside_chance(show, small_page):
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
    """A candidate holds the word, but not always the run around it: part of the run, without the word, would mislead."""
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


def test_a_control_and_a_token_that_was_not_looked_for_say_so(show, small_page):
    page = show(small_page, f"#/inspect?cells={BASE}&id=q/5&at={BASE}:0-5")
    assert "A control was tuned on no dataset" in page.locator(".sheet").inner_text()


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


def test_legend_explains_colors_and_lines(show, small_page):
    page = show(small_page, "#/inspect?id=q/4")
    legend = page.locator(".legend")
    legend.wait_for()
    for name in ("marginal", "shifted"):
        line, of_answer = (
            one.locator(f".{name}").first.evaluate("one => getComputedStyle(one).textDecoration")
            for one in (legend, page.locator(".answer", has=page.locator(f".{name}")).first)
        )
        assert line == of_answer
        assert "underline" in line
    page.goto(page.url.partition("#")[0] + f"#/inspect?cells={BASE}")
    legend.wait_for(state="detached")  # nothing is colored


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 600}, {"width": 390, "height": 844}])
def test_what_was_clicked_stays_in_sight_of_what_tells_of_it(show, small_page, viewport):
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


def test_cells_are_added_and_left_out(show, small_page):
    page = show(small_page, f"#/inspect?cells={LFT}")
    page.locator("select[name=add]").select_option(SFT)
    column(page, SFT).wait_for()
    page.get_by_role("button", name=f"Leave out {LFT}").click()
    column(page, LFT).wait_for(state="detached")
    assert page.locator(".column h2 .small").all_inner_texts() == [SFT]


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


def test_hostile_text_stays_text(show, small_page):
    page = show(small_page, f"#/inspect?id={FIRST_ID}&at={LFT}:2-9")
    [answer] = answer_rows(small_page, LFT, FIRST_ID, "responses.parquet")
    page.locator(".column").first.wait_for()
    text = column(page, LFT).locator(".answer").evaluate("one => one.textContent")
    assert text == answer["text"]
    assert "<script>window.hacked=1</script>" in text
    assert page.locator("#app script, #app img").count() == 0
    assert page.evaluate("document.querySelector('.answer').dir") == "auto"
    for link in ("#/", "#/tables/odd_ones", "#/tables/claims?view=tidy"):
        page.goto(page.url.partition("#")[0] + link)
        page.locator("td, th").get_by_text("<script>window.hacked=1</script>").first.wait_for()
    assert page.locator("#app script").count() == 0


def test_an_empty_and_a_huge_answer(show, small_page):
    page = show(small_page, f"#/inspect?cells={LFT}&id={EMPTY_ID}")
    page.get_by_text("The answer is empty.").wait_for()
    page.keyboard.press("k")
    [answer] = answer_rows(small_page, LFT, HUGE_ID, "responses.parquet")
    wait_until(page, "length => document.querySelector('.answer')?.textContent.length === length", len(answer["text"]))
    assert len(answer["text"]) > 100_000
    page.locator(".answer").focus()
    page.keyboard.press("End")
    page.get_by_role("tooltip").wait_for()


def test_the_scores_and_reasons_of_judges_are_shown(show, small_page):
    page = show(small_page, "#/inspect?id=q/4")
    said = answer_rows(small_page, SFT, "q/4", "verdicts/gpt.parquet")
    verdicts = column(page, SFT).locator(".verdicts")
    verdicts.wait_for()
    assert verdicts.locator(".score b").all_inner_texts() == [str(one["score"] or "–") for one in said]
    verdicts.locator("summary").click()
    assert verdicts.locator("dd").all_inner_texts() == [
        f"{one['null_cause']}: {one['reason']}" if one["null_cause"] else one["reason"] for one in said
    ]
