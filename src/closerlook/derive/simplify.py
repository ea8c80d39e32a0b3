"""Datasets with shorter responses (LIMA-Simple, section 4), written by a model or the miniature's rules."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa

from closerlook.config.derived import SimplifySettings
from closerlook.core.errors import CloserlookError
from closerlook.data.tally import Tally
from closerlook.llm.budget import estimate_tokens
from closerlook.llm.cache import Answer
from closerlook.llm.client import Ask, CompletionModel, LLMClient, Request
from closerlook.llm.prompt_file import Prompt, read
from closerlook.miniature import simplify as rules

SLOTS = ("instruction", "response")

Simplified = tuple[pa.Table, Tally, dict[str, Any]]
"""Instances, what became of each, and what the report should say of how it was done."""

Pair = tuple[str, str]
"""Instruction and response."""
Rewrite = Callable[[Sequence[Pair]], Sequence[str | None]]
"""A shorter response for each pair, in their order; None where there is none (the endpoint refused, or nothing answers)."""

NOTES = ("simplified", "left_brief", "left_code", "left_same", "left_longer", "left_without_answer")
"""What becomes of a row: its response is replaced, or left as it is because it is brief, is code, or because the new one is the
same, is longer, or did not come."""

_FENCE = re.compile(r"^\s*(?:```|~~~)", re.MULTILINE)
_CODE = re.compile(
    r"[;{}]\s*$"
    r"|^\s*(?:def|class) \w+.*:\s*$|^\s*(?:import|from) [\w.]+(?: import .*)?$|^\s*(?:if|for|while|else|elif|try|with)\b.*:\s*$"
    r"|^\s*(?:return|print|echo|puts|printf|console\.log)\b\s*[\(\w\"']"
    r"|^\s*#(?:include|define|!)|^\s*(?:public|private|static|const|let|var|function)\s+\w+.*[=({]"
    r"|^\s*(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|FROM|WHERE|JOIN|ORDER BY|GROUP BY)\b"
    r"|^\s*</?[A-Za-z!][^>]*>|^\s*[\w.\[\]]+\s*[-+*/]?=\s*\S"
)


def is_code(response: str) -> bool:
    """Whether a response holds a fenced block, or more than half of its lines (empty ones aside) look like a program's."""
    lines = [line for line in response.splitlines() if line.strip()]
    return bool(_FENCE.search(response)) or 2 * sum(bool(_CODE.search(line)) for line in lines) > len(lines)


def simplify(instances: pa.Table, rewrite: Rewrite, brief: int) -> tuple[pa.Table, Tally]:
    """Replace responses (schema INSTANCES) by shorter ones, and count what became of each row, by NOTES.

    brief: responses of at most so many characters are left as they are, and so is code; neither is handed to `rewrite`. A new
    response is taken only if it has fewer characters. Every row stays, in its place and with its id, so that the instances
    can be paired with those that they were made from.
    """
    pairs = list(zip(instances["instruction"].to_pylist(), instances["response"].to_pylist(), strict=True))
    notes = ["left_brief" if len(text) <= brief else "left_code" if is_code(text) else "" for _, text in pairs]
    candidates = [i for i, note in enumerate(notes) if not note]
    responses = [response for _, response in pairs]
    for i, new in zip(candidates, rewrite([pairs[i] for i in candidates]), strict=True):
        notes[i] = _note(new := (new or "").strip(), responses[i])
        if notes[i] == "simplified":
            responses[i] = new
    tally = Tally(())
    tally.noted.update(dict.fromkeys(NOTES, 0))
    for row, note in zip(instances["row"].to_pylist(), notes, strict=True):
        tally.keep(row, (note,))
    column = instances.schema.get_field_index("response")
    return instances.set_column(column, instances.field("response"), pa.array(responses, pa.string())), tally


def _note(new: str, old: str) -> str:
    if not new:
        return "left_without_answer"
    if len(new) < len(old):
        return "simplified"
    return "left_same" if new == old else "left_longer"


def simplify_by_rules(instances: pa.Table, settings: SimplifySettings) -> Simplified:
    """Simplify a dataset of the miniature by its rules."""

    def rewrite(pairs: Sequence[Pair]) -> list[str | None]:
        return [rules.simplify(instruction, response) for instruction, response in pairs]

    return *simplify(instances, rewrite, settings.brief), {"by": "rules of the miniature"}


def simplify_by_model(instances: pa.Table, settings: SimplifySettings, source: CompletionModel) -> Simplified:
    """Simplify any dataset with a model, whose max_tokens must equal those of the settings; answers are cached as they come."""
    prompt = read(Path(settings.prompt_file), SLOTS)
    ask = LLMClient(source, "simplify")
    after, tally = simplify(instances, rewriter(ask, prompt, settings.max_tokens), settings.brief)
    return after, tally, {"by": sorted(ask.versions), "prompt": prompt.digest}


def rewriter(ask: Ask, prompt: Prompt, max_tokens: int) -> Rewrite:
    """Return the `rewrite` of `simplify`. A refusal is no answer, nor is what reached max_tokens: its end is missing.

    An error is raised as CloserlookError once all the others are answered (and kept), since a dataset that is half simplified
    is neither.
    """
    heading = prompt.template.template.rstrip().rpartition("\n")[2]  # models like to repeat a prompt's last line

    def rewrite(pairs: Sequence[Pair]) -> list[str | None]:
        if not pairs:
            return []
        requests = [Request(prompt.fill(instruction=instruction, response=response)) for instruction, response in pairs]
        answers = ask(requests, expected_tokens=fmean(estimate_tokens(response) for _, response in pairs))
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
