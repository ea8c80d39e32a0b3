"""What tests of the page share."""

import time
from typing import Any


def wait_until(page: Any, expression: str, argument: Any = None, seconds: float = 10.0) -> None:
    """Wait until JavaScript that is evaluated in the page is true.

    Playwright's own wait_for_function calls eval in the page, which the page's content security policy forbids.
    Raises AssertionError once `seconds` have passed.
    """
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression, argument):
        assert time.monotonic() < deadline, f"not so after {seconds:g} s: {expression}"
        page.wait_for_timeout(20)
