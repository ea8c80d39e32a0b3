"""The look of the page in a real browser: contrast, themes, print, and narrow windows."""

import pytest

pytestmark = pytest.mark.browser


def luminance(color):
    red, green, blue = (float(part) / 255 for part in color.removeprefix("rgb(").rstrip(")").split(",")[:3])
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


COLORS = """() => {
    const parsed = (color) => [...color.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
    const over = (top, ground) => ground.map((value, i) => top[i] * top[3] + value * (1 - top[3]));
    const texts = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility()
        && !one.closest(":disabled, option, .hidden")
        && [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim()));
    return texts.map((element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) layers.unshift(parsed(getComputedStyle(at).backgroundColor));
        const ground = layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
        const ink = over(parsed(getComputedStyle(element).color), ground);
        return [element.outerHTML.slice(0, 80), `rgb(${ink})`, `rgb(${ground})`];
    });
}"""


def hard_to_read(page):
    """The texts whose contrast is below WCAG's AA."""
    found = []
    for text, *colors in page.evaluate(COLORS):
        light, dark = sorted(map(luminance, colors), reverse=True)
        if (light + 0.05) / (dark + 0.05) < 4.5:
            found.append((text, colors))
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(show, small_page, scheme):
    page = show(small_page, color_scheme=scheme)
    for link in ("#/", "#/tables/odd_ones", "#/annotate", "#/inspect?id=q/4"):
        page.goto(page.url.partition("#")[0] + link)
        page.locator("main :is(table, form, .column)").first.wait_for()
        assert hard_to_read(page) == []
    answer = page.locator(".answer", has=page.locator(".marked")).first
    for name in ("shifted", "marginal"):
        answer.locator(f".{name}").first.hover()
        page.locator(f".tip .chip.{name}").first.wait_for()
        assert hard_to_read(page) == []
    answer.locator(".marked").first.click()
    page.locator(".sheet .instance").first.wait_for()
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    assert hard_to_read(page) == []


def test_paper_is_light(show, small_page):
    page = show(small_page, "#/inspect?id=q/4")
    page.locator(".column").first.wait_for()
    page.get_by_label("Colors").select_option("dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert hard_to_read(page) == []
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_unless_chosen(show, small_page, scheme):
    page = show(small_page, "#/inspect?id=q/4", color_scheme=scheme)
    page.locator(".column").first.wait_for()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(ground) > 0.5) == (scheme == "light")
    page.get_by_label("Colors").select_option("dark" if scheme == "light" else "light")
    page.reload()
    page.locator(".column").first.wait_for()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(ground) > 0.5) != (scheme == "light")


@pytest.mark.parametrize(
    "link",
    [
        "#/",
        "#/tables/odd_ones",
        "#/tables/claims?view=tidy",
        "#/inspect?id=q/4",
        "#/inspect?id=q/4&at=tiny/d1/lft:0-3",
    ],
)
def test_print_shows_the_content_alone(show, small_page, link):
    page = show(small_page, link)
    page.locator("main").wait_for()
    page.locator(".column, table").first.wait_for()
    page.emulate_media(media="print")
    for hidden in (".head", ".side", ".noprint"):
        assert not any(one.is_visible() for one in page.locator(hidden).all())
    assert page.locator("main").is_visible()
    page.set_viewport_size({"width": 794, "height": 1123})  # A4
    cut = """all => all.filter((one) => one.scrollHeight > one.clientHeight + 1 || one.scrollWidth > one.clientWidth + 1)
        .map((one) => one.outerHTML.slice(0, 80))"""
    assert page.locator("main, .scroll").evaluate_all(cut) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    assert page.pdf().startswith(b"%PDF")


@pytest.mark.parametrize("width", [390, 1024, 1280, 1920])
def test_nothing_is_wider_than_the_window(show, small_page, width):
    page = show(small_page, viewport={"width": width, "height": 700})
    for link in (
        "#/",
        "#/tables/claims?view=tidy",
        "#/inspect?id=q/0",
        "#/inspect?id=q/4&at=tiny/d1/lft:0-9",
        "#/annotate",
    ):
        page.goto(page.url.partition("#")[0] + link)
        page.locator("main :is(table, form, .column)").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, link
    page.locator("input[name=annotator]").fill("Ada")
    page.locator("button.first").click()
    page.locator(".annotate .answers").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
