"""The answers in a real browser: what the inspector shows of tokens, classes, scores and texts is what the files say."""

import pytest
from tests.support.made_results import EMPTY_ID, FIRST_ID, HUGE_ID
from tests.support.pages import BASE, LFT, SFT, answer_rows, column, wait_until

pytestmark = pytest.mark.browser


def test_base_lft_and_sft_of_one_dataset_are_side_by_side(show, small_page):
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
