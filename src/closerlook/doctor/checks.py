"""A check of a site and its result."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["ok", "FAILED", "skipped"]


class Failed(Exception):
    """Raised by a check that fails, with what was found, what was expected and what to do."""


class Skipped(Exception):
    """Raised by a check that cannot be made, with the cause."""


@dataclass(frozen=True)
class Check:
    """The subject of a check, its state, and what was found; after a failure also what was expected and what to do."""

    what: str
    state: State
    detail: str

    def __str__(self) -> str:
        return f"{self.state:<8}{self.what:<24}{self.detail}"


def check(what: str, examine: Callable[..., str], *arguments: Any) -> Check:
    """Call `examine`, which returns what it found, or raises Failed or Skipped."""
    try:
        return Check(what, "ok", examine(*arguments))
    except Failed as problem:
        return Check(what, "FAILED", str(problem))
    except Skipped as cause:
        return Check(what, "skipped", str(cause))
