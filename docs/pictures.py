"""Take the pictures of the page that README and docs/page.md show, of a finished miniature: `python docs/pictures.py`."""

import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
from playwright.sync_api import sync_playwright

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / "results/mini"
BASE, LFT, SFT = (f"miniature/{cell}" for cell in ("none/base", "brief/lft", "brief/sft"))


def main() -> None:
    """Write docs/images/*.png."""
    page_file = RESULTS / "report/index.html"
    if not page_file.exists():
        sys.exit(f"{page_file} is missing; run: make demo")
    spans = pq.read_table(RESULTS / "cells" / SFT / "questions/spans/oracle.parquet").to_pylist()
    span = next(span for span in spans if span["id"].startswith("known/"))  # of a fact that the base model knew
    answers = f"#/inspect?cells={BASE},{LFT},{SFT}&id={span['id']}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, link, scheme in (
            ("page_answers", answers, "light"),
            ("page_answers_dark", answers, "dark"),
            ("page_trace", f"{answers}&at={SFT}:{span['start']}-{span['end']}", "light"),
            ("page_overview", "", "light"),
        ):
            page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
            page.goto(f"{page_file.as_uri()}{link}")
            if link == answers:
                page.locator(".answer .shifted").first.hover()
            page.wait_for_timeout(1000)  # transitions end
            page.screenshot(path=REPOSITORY / f"docs/images/{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
