"""Prompt files: string.Template texts whose slots are fenced by a boundary that inserted text cannot forge."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from string import Template

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_text

BOUNDARY = "boundary"


@dataclass(frozen=True)
class Prompt:
    """A prompt file's text."""

    template: Template
    digest: str
    """First 8 hex digits of the SHA-256 of the text: the version of the prompt."""

    def fill(self, **texts: str) -> str:
        """The prompt for these texts, in which a $ is left alone; ${boundary} is made of their SHA-256: none can hold it."""
        whole = " ".join(f"{len(text)} {text}" for text in texts.values())
        boundary = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return self.template.substitute(texts | {BOUNDARY: boundary})


def read(path: Path, slots: Collection[str], optional: Collection[str] = ()) -> Prompt:
    """Read a prompt file. Raises CloserlookError unless it is UTF-8 text with all `slots`, maybe `optional` and ${boundary}."""
    text = read_text(path, "prompt")
    template = Template(text)
    names = set(template.get_identifiers())
    optional = [*optional, BOUNDARY]
    if not template.is_valid() or not set(slots) <= names <= {*slots, *optional}:
        has = ", ".join(f"${{{name}}}" for name in sorted(names)) or "no slot"
        stray = "" if template.is_valid() else " and a stray $ (write $$)"
        wanted = ", ".join(f"${{{name}}}" for name in slots)
        besides = ", ".join(f"${{{name}}}" for name in optional)
        raise CloserlookError(f"prompt {path}: found {has}{stray}, expected {wanted}, and at most {besides} besides")
    return Prompt(template, hashlib.sha256(text.encode()).hexdigest()[:8])
