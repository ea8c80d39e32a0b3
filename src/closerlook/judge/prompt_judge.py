"""A judge that prompts a language model, behind an API or local, for each case and parses the answer."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from closerlook.config.judges import AskSettings
from closerlook.judge.aspects import SCORES, Case, Judge, Judged, null_verdicts
from closerlook.judge.parsing import parse
from closerlook.llm import prompt_file
from closerlook.llm.cache import Answer
from closerlook.llm.client import CompletionModel, Request, object_schema
from closerlook.llm.prompt_file import Prompt

NO_REFERENCE = "(none is given)"
TOKENS_PER_ASPECT = 80
"""Assumed length of an answer, until some are cached (gpt-4-1106-preview: 70)."""


def read_prompt(path: Path) -> Prompt:
    """Read a judge's prompt file, with ${instruction}, ${candidate} and optionally ${reference}. Raises CloserlookError."""
    return prompt_file.read(path, ("instruction", "candidate"), optional=("reference",))


def fill(prompt: Prompt, case: Case) -> str:
    """Return the prompt for a case."""
    reference = case.reference or NO_REFERENCE
    return prompt.fill(instruction=case.instruction, candidate=case.response, reference=reference)


def answer_schema(aspects: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of an answer: per aspect the reason first, so that the score follows from it, then the score."""
    score = {"type": "string", "enum": [*map(str, SCORES), "N/A"]}
    aspect = object_schema({"reason": {"type": "string"}, "score": score})
    return object_schema(dict.fromkeys(aspects, aspect))


def schema_name(aspects: Sequence[str]) -> str:
    """Return a name for the schema, in the characters that servers accept."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", "_".join(aspects))[:64]


def build_requests(cases: Sequence[Case], prompt: Prompt, settings: AskSettings) -> list[Request]:
    """Return one request per case."""
    schema, name = answer_schema(settings.aspects), schema_name(settings.aspects)
    return [Request(fill(prompt, case), schema, name) for case in cases]


def make_prompt_judge(source: CompletionModel, name: str, prompt: Prompt, settings: AskSettings) -> Judge:
    """Return a judge that sends the filled prompt to `source`, a model called `name`."""
    read = lru_cache(maxsize=1024)(partial(parse, aspects=tuple(settings.aspects)))

    def judged(answer: Answer, cost: float) -> Judged:
        version = f"{name}@{answer.model or '?'}/prompt {prompt.digest}"
        if answer.error:
            verdicts = null_verdicts(settings.aspects, "error", answer.error)
        elif answer.refused:
            verdicts = null_verdicts(settings.aspects, "refused", answer.text[:300] or None)
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
        source.complete(build_requests(cases, prompt, settings), done, usable, expected)
        return [all_judged[index] for index in range(len(cases))]

    return judge
