"""Prompt files: string.Template texts with a boundary that inserted text cannot contain (prompt injection)."""

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
    """The text of a prompt file."""

    template: Template
    digest: str
    """First 8 hex digits of the SHA-256 of the text: the version of the prompt."""

    def fill(self, **texts: str) -> str:
        """Return the prompt with these texts inserted as they are. ${boundary} becomes a digest of the texts."""
        joined = " ".join(f"{len(text)} {text}" for text in texts.values())
        boundary = hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return self.template.substitute(texts | {BOUNDARY: boundary})


def read(path: Path, slots: Collection[str], optional: Collection[str] = ()) -> Prompt:
    """Read a prompt file. Raises CloserlookError unless it is UTF-8 text with all `slots` and no others than `optional` ones."""
    text = read_text(path, "prompt")
    template = Template(text)
    names = set(template.get_identifiers())
    optional = [*optional, BOUNDARY]
    if not template.is_valid() or not set(slots) <= names <= {*slots, *optional}:
        found = ", ".join(f"${{{name}}}" for name in sorted(names)) or "no slot"
        stray = "" if template.is_valid() else " and a stray $ (write $$)"
        required, allowed = (", ".join(f"${{{name}}}" for name in names) for names in (slots, optional))
        raise CloserlookError(f"prompt {path}: found {found}{stray}, expected {required}; optional: {allowed}")
    return Prompt(template, hashlib.sha256(text.encode()).hexdigest()[:8])
