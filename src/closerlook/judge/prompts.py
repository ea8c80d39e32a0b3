"""What a judge is asked: a prompt file filled with a case, and the JSON schema of its answer."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from closerlook.judge.aspects import SCORES, Case
from closerlook.llm import prompt_file
from closerlook.llm.prompt_file import Prompt

NO_REFERENCE = "(none is given)"


def read_prompt(path: Path) -> Prompt:
    """Read a judge's prompt file. Raises CloserlookError unless it holds ${instruction} and ${candidate}, maybe ${reference}."""
    return prompt_file.read(path, ("instruction", "candidate"), optional=("reference",))


def fill(prompt: Prompt, case: Case) -> str:
    """The prompt for a case."""
    reference = case.reference or NO_REFERENCE
    return prompt.fill(instruction=case.instruction, candidate=case.response, reference=reference)


def answer_schema(aspects: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of an answer: per aspect a reason first, so that the score follows from it, then the score."""
    properties = {
        "reason": {"type": "string"},
        "score": {"type": "string", "enum": [*map(str, SCORES), "N/A"]},
    }
    aspect = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": dict.fromkeys(aspects, aspect),
        "required": list(aspects),
        "additionalProperties": False,
    }


def schema_name(aspects: Sequence[str]) -> str:
    """A name for the schema in the characters that servers take."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", "_".join(aspects))[:64]
