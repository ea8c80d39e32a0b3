"""Derive an evalset of paraphrased instructions, by a model or the miniature's rules (section 5)."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa

from closerlook.config.catalog import ParaphraseSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.schemas import EVALSET
from closerlook.data.tally import Tally
from closerlook.llm.budget import estimate_tokens
from closerlook.llm.client import CompletionModel, LLMClient, Request
from closerlook.llm.prompt_file import read
from closerlook.miniature.paraphrase import paraphrases

SLOTS = ("instruction", "count")
_SCHEMA = {
    "type": "object",
    "properties": {"paraphrases": {"type": "array", "items": {"type": "string"}}},
    "required": ["paraphrases"],
    "additionalProperties": False,
}
_BULLET = re.compile(r"^\s*(?:\d+[.):]|[-*•])\s+")
_FENCE = re.compile(r"^\s*```\w*\s*|\s*```\s*$")

Paraphrased = tuple[pa.Table, Tally, dict[str, Any]]
"""An evalset, the counts of kept and dropped wordings, and further facts for the report."""

Paraphraser = Callable[[Sequence[str]], Sequence[Sequence[str]]]
"""Returns the wordings of each instruction, in order; an empty list if there are none."""

REASONS = ("empty", "same_words", "repeated", "surplus")
"""Reasons for dropping a wording: empty, equal to the instruction, equal to another wording, or more than `count`."""
SEPARATOR = "/p"
"""Separator of the instruction's id and the 1-based number of the wording."""


def paraphrase(evalset: pa.Table, name: str, count: int, paraphraser: Paraphraser) -> Paraphrased:
    """Derive an evalset with at most `count` other wordings of each instruction, with the ids `<id>/p1` and so on.

    The tally counts wordings, dropped ones by REASONS. Raises CloserlookError if no wording is left.
    """
    questions: list[dict[str, Any]] = evalset.to_pylist()
    tally, rows, without = Tally(REASONS), [], 0
    wordings = paraphraser([question["instruction"] for question in questions])
    for row, (question, texts) in enumerate(zip(questions, wordings, strict=True)):
        kept: dict[str, str] = {}
        for text in map(str.strip, texts):
            if reason := _drop_reason(text, question["instruction"], kept, count):
                tally.drop(reason, row)
            else:
                tally.keep(row)
                kept[_normalize(text)] = text
        without += not kept
        for number, text in enumerate(kept.values(), 1):
            rows.append(question | {"id": f"{question['id']}{SEPARATOR}{number}", "instruction": text, "source": name})
    if not rows:
        raise CloserlookError(f"{name}: no usable paraphrase: {tally}")
    facts = {"instructions": len(questions), "without_paraphrase": without}
    return pa.Table.from_pylist(rows, schema=EVALSET), tally, facts


def original_of(id_: str) -> str:
    """The id of the instruction that a wording paraphrases."""
    return id_.rpartition(SEPARATOR)[0]


def _drop_reason(text: str, instruction: str, kept: dict[str, str], count: int) -> str | None:
    if not text:
        return "empty"
    if _normalize(text) == _normalize(instruction):
        return "same_words"
    if _normalize(text) in kept:
        return "repeated"
    return "surplus" if len(kept) >= count else None


def _normalize(text: str) -> str:
    return " ".join(text.casefold().split())


def paraphrase_by_rules(evalset: pa.Table, name: str, settings: ParaphraseSettings) -> Paraphrased:
    """Paraphrase an evalset of the miniature by rules."""
    table, tally, facts = paraphrase(evalset, name, settings.count, lambda texts: [paraphrases(text) for text in texts])
    return table, tally, facts | {"by": "rules of the miniature"}


def paraphrase_by_model(
    evalset: pa.Table, name: str, settings: ParaphraseSettings, source: CompletionModel
) -> Paraphrased:
    """Paraphrase an evalset with a model. The model must have the settings' max_tokens."""
    prompt = read(Path(settings.prompt_file), SLOTS)
    ask, unusable = LLMClient(source, "paraphrase"), {"refused": 0, "unparsable": 0}

    def write_paraphrases(instructions: Sequence[str]) -> list[list[str]]:
        requests = [
            Request(prompt.fill(instruction=text, count=str(settings.count)), _SCHEMA, "paraphrases")
            for text in instructions
        ]
        expected = settings.count * fmean(estimate_tokens(text) for text in instructions) if instructions else 0.0
        answers = ask(requests, usable=lambda text: bool(read_wordings(text)), expected_tokens=expected)
        if failed := [answer.error for answer in answers if answer.error]:
            raise CloserlookError(
                f"{len(failed):,} of {len(answers):,} instructions could not be paraphrased, the first because of: {failed[0]}; "
                "answers are kept: run the same command again"
            )
        texts = [[] if answer.refused else read_wordings(answer.text) for answer in answers]
        unusable["refused"] = sum(answer.refused for answer in answers)
        unusable["unparsable"] = texts.count([]) - unusable["refused"]
        return texts

    table, tally, facts = paraphrase(evalset, name, settings.count, write_paraphrases)
    return table, tally, facts | unusable | {"by": sorted(ask.versions), "prompt": prompt.digest}


def read_wordings(answer: str) -> list[str]:
    """The wordings in a model's answer: a JSON list, or the first in an object, or else numbered or bulleted lines.

    Other prose and incomplete JSON give none. Lone surrogates are removed.
    """
    text = _FENCE.sub("", answer).strip()
    if text[:1] in ("[", "{"):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return []
        lists = [value] if isinstance(value, list) else [item for item in value.values() if isinstance(item, list)]
        texts = [item for item in lists[0] if isinstance(item, str)] if lists else []
        return [item.encode("utf-8", "ignore").decode() for item in texts]
    lines = [line for line in text.splitlines() if _BULLET.match(line)]
    return [_BULLET.sub("", line).strip().strip('"') for line in lines]
