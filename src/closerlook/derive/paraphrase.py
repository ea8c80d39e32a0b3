"""Evalsets of paraphrased instructions, by a model or the miniature's rules: does the same wrong phrase return? (section 5)"""

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
"""An evalset, what became of each wording, and what the report should say of how it was done."""

Paraphraser = Callable[[Sequence[str]], Sequence[Sequence[str]]]
"""Other wordings of each instruction, in their order; none where there are none."""

REASONS = ("empty", "same_words", "repeated", "surplus")
"""Why a wording is dropped: it is empty, says the instruction's words again, repeats another wording, or is one too many."""
MARK = "/p"
"""Separates an instruction's id from the number of its wording, from 1."""


def paraphrase(
    evalset: pa.Table, name: str, count: int, paraphraser: Paraphraser
) -> tuple[pa.Table, Tally, dict[str, Any]]:
    """At most `count` other wordings of each instruction (EVALSET), under `<id>/p1` and so on; all else is the instruction's own.

    The tally counts wordings, kept and dropped by REASONS; the third result, for the report, how many instructions have none.
    Raises CloserlookError when no wording is left.
    """
    questions: list[dict[str, Any]] = evalset.to_pylist()
    tally, rows, bare = Tally(REASONS), [], 0
    wordings = paraphraser([question["instruction"] for question in questions])
    for row, (question, texts) in enumerate(zip(questions, wordings, strict=True)):
        kept: dict[str, str] = {}
        for text in map(str.strip, texts):
            if reason := _reason(text, question["instruction"], kept, count):
                tally.drop(reason, row)
            else:
                tally.keep(row)
                kept[_plain(text)] = text
        bare += not kept
        for number, text in enumerate(kept.values(), 1):
            rows.append(question | {"id": f"{question['id']}{MARK}{number}", "instruction": text, "source": name})
    if not rows:
        raise CloserlookError(f"{name}: no instruction in other words: {tally}")
    return (
        pa.Table.from_pylist(rows, schema=EVALSET),
        tally,
        {"instructions": len(questions), "without_paraphrase": bare},
    )


def original_of(id_: str) -> str:
    """Return the id of the instruction that a wording paraphrases."""
    return id_.rpartition(MARK)[0]


def _reason(text: str, instruction: str, kept: dict[str, str], count: int) -> str | None:
    if not text:
        return "empty"
    if _plain(text) == _plain(instruction):
        return "same_words"
    if _plain(text) in kept:
        return "repeated"
    return "surplus" if len(kept) >= count else None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def paraphrase_by_rules(evalset: pa.Table, name: str, settings: ParaphraseSettings) -> Paraphrased:
    """Paraphrase an evalset of the miniature by its rules."""
    table, tally, facts = paraphrase(evalset, name, settings.count, lambda texts: [paraphrases(text) for text in texts])
    return table, tally, facts | {"by": "rules of the miniature"}


def paraphrase_by_model(
    evalset: pa.Table, name: str, settings: ParaphraseSettings, source: CompletionModel
) -> Paraphrased:
    """Paraphrase any evalset with a model, whose max_tokens must equal those of the settings; answers are cached as they come."""
    prompt = read(Path(settings.prompt_file), SLOTS)
    ask, unusable = LLMClient(source, "paraphrase"), {"refused": 0, "unparsable": 0}

    def write_paraphrases(instructions: Sequence[str]) -> list[list[str]]:
        requests = [
            Request(prompt.fill(instruction=text, count=str(settings.count)), _SCHEMA, "paraphrases")
            for text in instructions
        ]
        expected = settings.count * fmean(estimate_tokens(text) for text in instructions) if instructions else 0.0
        answers = ask(requests, usable=lambda text: bool(wordings(text)), expected_tokens=expected)
        if failed := [answer.error for answer in answers if answer.error]:
            raise CloserlookError(
                f"{len(failed):,} of {len(answers):,} instructions could not be put in other words, the first because of: "
                f"{failed[0]}; the others are kept: run the same command again"
            )
        found = [[] if answer.refused else wordings(answer.text) for answer in answers]
        unusable["refused"] = sum(answer.refused for answer in answers)
        unusable["unparsable"] = sum(not texts for texts in found) - unusable["refused"]
        return found

    table, tally, facts = paraphrase(evalset, name, settings.count, write_paraphrases)
    return table, tally, facts | unusable | {"by": sorted(ask.versions), "prompt": prompt.digest}


def wordings(answer: str) -> list[str]:
    """The wordings in a model's answer: a list of texts in JSON, by itself or in an object, or lines with numbers or bullets.

    Prose without a list says nothing, nor does JSON that is cut off. Half characters (lone surrogates) are left out.
    """
    text = _FENCE.sub("", answer).strip()
    if text[:1] in ("[", "{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return []
        lists = [found] if isinstance(found, list) else [value for value in found.values() if isinstance(value, list)]
        texts = [item for item in lists[0] if isinstance(item, str)] if lists else []
        return [item.encode("utf-8", "ignore").decode() for item in texts]
    lines = [line for line in text.splitlines() if _BULLET.match(line)]
    return [_BULLET.sub("", line).strip().strip('"') for line in lines]
