"""Who writes the shorter responses of a simplified dataset: a model that is asked, or the miniature's rules."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa

from closerlook.config.derived import SimplifySettings
from closerlook.core.errors import CloserlookError
from closerlook.data.tally import Tally
from closerlook.derive.simplify import Pair, Rewrite, simplify
from closerlook.llm.budget import tokens_of
from closerlook.llm.cache import Answer
from closerlook.llm.client import Ask, LLMClient
from closerlook.llm.prompt_file import Prompt, read
from closerlook.llm.requests import CompletionModel, Request
from closerlook.miniature import simplify as rules

SLOTS = ("instruction", "response")

Simplified = tuple[pa.Table, Tally, dict[str, Any]]
"""Instances, what became of each, and what the report should say of how it was done."""


def simplify_by_rules(instances: pa.Table, settings: SimplifySettings) -> Simplified:
    """The miniature's, by its rules."""

    def rewrite(pairs: Sequence[Pair]) -> list[str | None]:
        return [rules.simplify(instruction, response) for instruction, response in pairs]

    return *simplify(instances, rewrite, settings.brief), {"by": "rules of the miniature"}


def simplify_by_model(instances: pa.Table, settings: SimplifySettings, source: CompletionModel) -> Simplified:
    """Any, by a model, which keeps its answers as they come. Its max_tokens must be those of the settings."""
    prompt = read(Path(settings.prompt_file), SLOTS)
    ask = LLMClient(source, "simplify")
    after, tally = simplify(instances, rewriter(ask, prompt, settings.max_tokens), settings.brief)
    return after, tally, {"by": sorted(ask.versions), "prompt": prompt.digest}


def rewriter(ask: Ask, prompt: Prompt, max_tokens: int) -> Rewrite:
    """What `simplify` wants. A refusal is no answer, nor is what reached max_tokens: its end is missing.

    An error is raised as CloserlookError once all the others are answered (and kept), since a dataset that is half simplified
    is neither.
    """
    heading = prompt.template.template.rstrip().rpartition("\n")[2]  # models like to repeat a prompt's last line

    def rewrite(pairs: Sequence[Pair]) -> list[str | None]:
        if not pairs:
            return []
        requests = [Request(prompt.fill(instruction=asked, response=response)) for asked, response in pairs]
        answers = ask(requests, expected_tokens=fmean(tokens_of(response) for _, response in pairs))
        if failed := [answer.error for answer in answers if answer.error]:
            raise CloserlookError(
                f"{len(failed):,} of {len(answers):,} responses could not be simplified, the first because of: {failed[0]}; "
                "the others are kept: run the same command again"
            )
        return [_text(answer, heading, max_tokens) for answer in answers]

    return rewrite


def _text(answer: Answer, heading: str, max_tokens: int) -> str | None:
    cut = answer.output_tokens >= max_tokens * max(1, answer.asked)
    return None if answer.refused or cut else answer.text.strip().removeprefix(heading)
