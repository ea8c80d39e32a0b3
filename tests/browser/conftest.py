"""A real browser for the page. All tests of this folder share it, so one worker of pytest-xdist runs them all."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.machine import require
from tests.support.made_results import large, small
from tests.support.pages import wait_until

from closerlook.report.page.build import build

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium.

    Not of the whole session: while Playwright is there, an event loop runs in this thread, and nobody else can run one.
    """
    require("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield running
        running.close()


OPENED = "() => ![...document.querySelectorAll('#app .note')].some((note) => note.textContent.startsWith('Opening'))"
"""No view is waiting for its data any more: what a test reads without waiting is then what was to be shown."""


@pytest.fixture(scope="session")
def small_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of twelve answers of three cells."""
    return _made(small(tmp_path_factory.mktemp("browser") / "small"))


@pytest.fixture(scope="session")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 800 answers of six cells and of base."""
    return _made(large(tmp_path_factory.mktemp("browser") / "large"))


@pytest.fixture
def show(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page from disk: show(folder, link, **context). A word on the console, or a request of the network, fails."""
    said: list[str] = []
    contexts = []

    def opened(folder: Path, link: str = "", **options: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: request.url.startswith(("file://", "blob:")) or said.append(f"asked for {request.url}"),
        )
        page.goto(f"file://{folder}/index.html{link}")
        wait_until(page, OPENED)
        return page

    yield opened
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.hacked") is None
        context.close()
    assert not said


def _made(results: Path) -> Path:
    build(results, results / "report")
    return results / "report"
