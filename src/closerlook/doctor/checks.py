"""A check and its answer."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "FAILED", "skipped"]


@dataclass(frozen=True)
class Check:
    """What was looked at, how it stands, and what was found; where it failed, also what was expected and what to do."""

    what: str
    state: State
    detail: str

    def __str__(self) -> str:
        return f"{self.state:<8}{self.what:<24}{self.detail}"
