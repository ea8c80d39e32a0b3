"""A judge that prompts a language model for each case and parses its answer; an API model or a local one."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from closerlook.config.judges import AskSettings
from closerlook.judge.aspects import SCORES, Case, Judge, Judged, nulls
from closerlook.judge.parsing import parse
from closerlook.llm import prompt_file
from closerlook.llm.cache import Answer
from closerlook.llm.client import CompletionModel, Request
from closerlook.llm.prompt_file import Prompt

NO_REFERENCE = "(none is given)"
TOKENS_PER_ASPECT = 80
"""Of a judge's answer, until some are known (gpt-4-1106-preview: 70)."""


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


def requests_of(cases: Sequence[Case], prompt: Prompt, settings: AskSettings) -> list[Request]:
    """Return one request per case."""
    schema, name = answer_schema(settings.aspects), schema_name(settings.aspects)
    return [Request(fill(prompt, case), schema, name) for case in cases]


def make_prompt_judge(source: CompletionModel, name: str, prompt: Prompt, settings: AskSettings) -> Judge:
    """Return a judge that fills the prompt and asks `source`, a model called `name`."""

    read = lru_cache(maxsize=1024)(partial(parse, aspects=tuple(settings.aspects)))

    def judged(answer: Answer, cost: float) -> Judged:
        version = f"{name}@{answer.model or '?'}/prompt {prompt.digest}"
        if answer.error:
            verdicts = nulls(settings.aspects, "error", answer.error)
        elif answer.refused:
            verdicts = nulls(settings.aspects, "refused", answer.text[:300] or None)
        else:
            verdicts = read(answer.text)
        return Judged(verdicts, version, cost)

    def usable(text: str) -> bool:
        return not any(verdict.null_cause == "unparsable" for verdict in read(text))

    def judge(cases: Sequence[Case], finished: Callable[[Judged], None]) -> list[Judged]:
        all_judged: dict[int, Judged] = {}

        def done(index: int, answer: Answer, cost: float) -> None:
            all_judged[index] = judged(answer, cost)
            finished(all_judged[index])

        expected = TOKENS_PER_ASPECT * len(settings.aspects)
        source.complete(requests_of(cases, prompt, settings), done, usable, expected)
        return [all_judged[index] for index in range(len(cases))]

    return judge
