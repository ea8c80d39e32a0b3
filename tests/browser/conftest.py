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

    It is closed after each module: Playwright runs an event loop in this thread, where no other can run meanwhile.
    """
    require("chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield running
        running.close()


OPENED = "() => ![...document.querySelectorAll('#app .note')].some((note) => note.textContent.startsWith('Opening'))"
"""No view is waiting for its data, so tests can read it without waiting."""


@pytest.fixture(scope="session")
def small_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of twelve answers of three cells."""
    return _build(small(tmp_path_factory.mktemp("browser") / "small"))


@pytest.fixture(scope="session")
def large_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 800 answers of six cells and of base."""
    return _build(large(tmp_path_factory.mktemp("browser") / "large"))


@pytest.fixture
def show(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page from disk: show(folder, link, **context). Any console message or network request fails the test."""
    messages: list[str] = []
    contexts = []

    def open_page(folder: Path, link: str = "", **options: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda message: messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: messages.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                request.url.startswith(("file://", "blob:")) or messages.append(f"request of {request.url}")
            ),
        )
        page.goto(f"file://{folder}/index.html{link}")
        wait_until(page, OPENED)
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.hacked") is None
        context.close()
    assert not messages


def _build(results: Path) -> Path:
    build(results, results / "report")
    return results / "report"
