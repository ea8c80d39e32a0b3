"""Derive a dataset with simplified responses (LIMA-Simple, section 4), by a model or the miniature's rules."""

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
from closerlook.llm.client import CompletionModel, LLMClient, Request
from closerlook.llm.prompt_file import read
from closerlook.miniature import simplify as rules

SLOTS = ("instruction", "response")

Simplified = tuple[pa.Table, Tally, dict[str, Any]]
"""Instances, the counts of what was done, and further facts for the report."""

Pair = tuple[str, str]
"""Instruction and response."""
Rewrite = Callable[[Sequence[Pair]], Sequence[str | None]]
"""Returns a shorter response for each pair, in order; None if there is none."""

NOTES = ("simplified", "left_brief", "left_code", "left_same", "left_longer", "left_without_answer")
"""Notes on rows: the response was replaced, or kept because it is brief or code, or because the new one is equal, longer or
missing."""

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
    """Whether a response has a fenced block, or more than half of its non-empty lines look like code."""
    lines = [line for line in response.splitlines() if line.strip()]
    return bool(_FENCE.search(response)) or 2 * sum(bool(_CODE.search(line)) for line in lines) > len(lines)


def simplify(instances: pa.Table, rewrite: Rewrite, brief: int) -> tuple[pa.Table, Tally]:
    """Replace responses (schema INSTANCES) by shorter ones. The tally counts NOTES.

    brief: responses of at most this many characters, and code, are kept and not passed to `rewrite`. A new response is used only
    if it has fewer characters. All rows keep their order and ids, so that both datasets can be paired.
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
    """Simplify a dataset of the miniature by rules."""

    def rewrite(pairs: Sequence[Pair]) -> list[str | None]:
        return [rules.simplify(instruction, response) for instruction, response in pairs]

    return *simplify(instances, rewrite, settings.brief), {"by": "rules of the miniature"}


def simplify_by_model(instances: pa.Table, settings: SimplifySettings, source: CompletionModel) -> Simplified:
    """Simplify a dataset with a model. The model must have the settings' max_tokens.

    Refusals and answers cut off at max_tokens count as no answer. Raises CloserlookError if a request fails, after the
    others are answered and cached.
    """
    prompt = read(Path(settings.prompt_file), SLOTS)
    last_line = prompt.template.template.rstrip().rpartition("\n")[2]  # models tend to repeat it
    ask = LLMClient(source, "simplify")

    def rewrite(pairs: Sequence[Pair]) -> list[str | None]:
        if not pairs:
            return []
        requests = [Request(prompt.fill(instruction=instruction, response=response)) for instruction, response in pairs]
        answers = ask(requests, expected_tokens=fmean(estimate_tokens(response) for _, response in pairs))
        if failed := [answer.error for answer in answers if answer.error]:
            raise CloserlookError(
                f"{len(failed):,} of {len(answers):,} responses could not be simplified, the first because of: {failed[0]}; "
                "answers are kept: run the same command again"
            )
        unusable = [
            answer.refused or answer.output_tokens >= settings.max_tokens * max(1, answer.asked) for answer in answers
        ]
        texts = [answer.text.strip().removeprefix(last_line) for answer in answers]
        return [None if is_unusable else text for is_unusable, text in zip(unusable, texts, strict=True)]

    after, tally = simplify(instances, rewrite, settings.brief)
    return after, tally, {"by": sorted(ask.versions), "prompt": prompt.digest}
