"""Rate limit and retry policy of API calls.

Retries are made by tenacity rather than by the openai client, which does not retry malformed bodies, waits 8 seconds at most, and
would exceed the limit of calls per minute.
"""

import asyncio
import email.utils
import random
import time

from openai import APIConnectionError, APIStatusError
from tenacity import RetryCallState, wait_random_exponential

LONGEST_WAIT, LONGEST_RETRY_AFTER = 60.0, 600.0
"""Seconds: the longest wait between two tries, and the longest Retry-After that is obeyed."""
_backoff = wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT)


class BrokenAnswerError(Exception):
    """The server's answer is no chat completion."""


class Pace:
    """Spaces the starts of calls evenly, and delays them until the time that a server named."""

    def __init__(self, requests_per_minute: float | None) -> None:
        self._interval = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next = self._not_before = 0.0

    async def turn(self) -> None:
        """Wait until a call may start."""
        while self._not_before > time.monotonic():
            await asyncio.sleep(self._not_before - time.monotonic())
        if self._interval:
            start = max(time.monotonic(), self._next)
            self._next = start + self._interval
            await asyncio.sleep(start - time.monotonic())

    def wait(self, state: RetryCallState) -> float:
        """Return the seconds until a retry: Retry-After, which then holds for all calls, or exponential backoff."""
        error = state.outcome.exception() if state.outcome else None
        seconds = retry_after(error)
        if seconds is None:
            return _backoff(state)
        self._not_before = max(self._not_before, time.monotonic() + seconds)
        return seconds * (1 + 0.1 * random.random())  # so that not all calls start at once


def is_transient(error: BaseException) -> bool:
    """Whether a retry can succeed."""
    if isinstance(error, APIStatusError):
        return (error.status_code in (408, 409, 429) or error.status_code >= 500) and not is_out_of_quota(error)
    return isinstance(error, APIConnectionError | BrokenAnswerError | TimeoutError)


def is_out_of_quota(error: APIStatusError) -> bool:
    """Whether the account has no credit left; 429 can mean that too."""
    return error.status_code == 402 or error.code in ("insufficient_quota", "billing_hard_limit_reached")


def retry_after(error: BaseException | None) -> float | None:
    """Return the seconds of the Retry-After header, a number or a date; None without a valid one."""
    if not isinstance(error, APIStatusError) or not (header := error.response.headers.get("retry-after")):
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return None
    return min(seconds, LONGEST_RETRY_AFTER) if seconds > 0 else None  # also None for NaN
