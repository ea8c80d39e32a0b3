"""Rate limit and retry policy of API calls.

The retries are tenacity's, not the openai client's own, because one rule must hold for all that can go wrong: the client does not
retry a body that is no chat completion, waits 8 seconds at most, and its retries would pass by the limit of calls per minute.
"""

import asyncio
import email.utils
import random
import time

from openai import APIConnectionError, APIStatusError
from tenacity import RetryCallState, wait_random_exponential

LONGEST_WAIT, LONGEST_RETRY_AFTER = 60.0, 600.0
"""Seconds between two tries; what a server may ask for with Retry-After."""
_backoff = wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT)


class BrokenAnswerError(Exception):
    """The server answered with something that is no chat completion."""


class Pace:
    """Calls begin at even distances, and not before a time that the server named."""

    def __init__(self, requests_per_minute: float | None) -> None:
        self._distance = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next = self._held = 0.0

    async def turn(self) -> None:
        """Wait until a call may begin."""
        while self._held > time.monotonic():
            await asyncio.sleep(self._held - time.monotonic())
        if self._distance:
            at = max(time.monotonic(), self._next)
            self._next = at + self._distance
            await asyncio.sleep(at - time.monotonic())

    def wait(self, state: RetryCallState) -> float:
        """Seconds until a failed call is made again: what Retry-After says (then nobody calls before), else more each time."""
        error = state.outcome.exception() if state.outcome else None
        seconds = retry_after(error)
        if seconds is None:
            return _backoff(state)
        self._held = max(self._held, time.monotonic() + seconds)
        return seconds * (1 + 0.1 * random.random())  # not all at once


def is_transient(error: BaseException) -> bool:
    """Whether a retry can succeed."""
    if isinstance(error, APIStatusError):
        return (error.status_code in (408, 409, 429) or error.status_code >= 500) and not is_out_of_quota(error)
    return isinstance(error, APIConnectionError | BrokenAnswerError | TimeoutError)


def is_out_of_quota(error: APIStatusError) -> bool:
    """Whether the account has run dry: 429 can mean that too."""
    return error.status_code == 402 or error.code in ("insufficient_quota", "billing_hard_limit_reached")


def retry_after(error: BaseException | None) -> float | None:
    """Seconds of the answer's Retry-After, which is a number or a date; None where there is none."""
    if not isinstance(error, APIStatusError) or not (written := error.response.headers.get("retry-after")):
        return None
    try:
        seconds = float(written)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(written).timestamp() - time.time()
        except ValueError:
            return None
    return min(seconds, LONGEST_RETRY_AFTER) if seconds > 0 else None  # NaN is not above 0
