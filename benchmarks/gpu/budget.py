"""Measurements one after another, within the time there is: each writes one line of JSON as soon as it ends."""

import gc
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

Result = dict[str, Any]
OVERTIME = 3
"""A measurement is ended after this multiple of its estimate, or when the time is over."""


class Skipped(Exception):
    """A measurement that cannot be taken here; the message says why."""


class TimeIsUp(BaseException):
    """Ends a measurement; no code that recovers from errors catches it."""


@dataclass(frozen=True)
class Measurement:
    """What is measured, how many seconds it takes on an H100, and whether it says if the code is correct there."""

    name: str
    seconds: float
    take: Callable[..., Result]
    is_check: bool = False


@dataclass(frozen=True)
class Session:
    """Where lines go, and when the time is over. Processes that measure at the same time each have one with the same file."""

    file: Path
    deadline: float
    """Seconds since the epoch."""

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.time()

    def take(self, measurement: Measurement, *arguments: Any) -> None:
        """Take a measurement and write its line: a result, an error, or why it was skipped."""
        begun = time.time()
        if measurement.seconds > self.left:
            outcome: Result = {"skipped": f"{self.left:.0f} s were left, and it takes {measurement.seconds:.0f} s"}
        else:
            limit = min(self.left, OVERTIME * measurement.seconds)
            try:
                with _time_limit(limit):
                    outcome = attempt(lambda: measurement.take(*arguments))
            except TimeIsUp:
                outcome = {"error": f"ended after {limit:.0f} s"}
        self.write(measurement.name, outcome | {"seconds": round(time.time() - begun, 1)}, measurement.is_check)

    def write(self, name: str, outcome: Result, is_check: bool = False) -> None:
        """Append a line, and print it."""
        line = json.dumps({"measurement": name, "is_check": is_check} | outcome)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, file=sys.stderr, flush=True)

    def forget(self, names: set[str]) -> None:
        """Remove the lines of these measurements, which are taken again."""
        kept = [line for line in self.lines() if line["measurement"] not in names] if self.file.exists() else []
        self.file.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def lines(self) -> list[Result]:
        """All lines so far."""
        return [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]


def attempt(take: Callable[[], Result]) -> Result:
    """The outcome of a measurement: {"result": ...}, {"skipped": why} or {"error": type and message}."""
    import torch

    try:
        return {"result": take()}
    except Skipped as reason:
        return {"skipped": str(reason)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:2000]}
    finally:
        gc.collect()  # what a failed measurement held must not be missing in the next
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def has_failed(line: Result) -> bool:
    """Whether a line says that the code is not correct on this device."""
    return line["is_check"] and ("error" in line or not line.get("result", {}).get("passed", True))


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeIsUp in the block after `seconds` seconds."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
