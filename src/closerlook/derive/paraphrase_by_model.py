"""Who puts instructions in other words: a model that is asked, or the miniature's rules."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa

from closerlook.config.catalog import ParaphraseSettings
from closerlook.core.errors import CloserlookError
from closerlook.data.tally import Tally
from closerlook.derive.paraphrase import paraphrase
from closerlook.llm.budget import tokens_of
from closerlook.llm.client import LLMClient
from closerlook.llm.prompt_file import read
from closerlook.llm.requests import CompletionModel, Request
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


def by_rules(evalset: pa.Table, name: str, settings: ParaphraseSettings) -> Paraphrased:
    """The miniature's, by its rules."""
    table, tally, facts = paraphrase(evalset, name, settings.count, lambda asked: [paraphrases(text) for text in asked])
    return table, tally, facts | {"by": "rules of the miniature"}


def by_model(evalset: pa.Table, name: str, settings: ParaphraseSettings, source: CompletionModel) -> Paraphrased:
    """Any, by a model, which keeps its answers as they come. Its max_tokens must be those of the settings."""
    prompt = read(Path(settings.prompt_file), SLOTS)
    ask, unusable = LLMClient(source, "paraphrase"), {"refused": 0, "unparsable": 0}

    def rephrase(instructions: Sequence[str]) -> list[list[str]]:
        requests = [
            Request(prompt.fill(instruction=text, count=str(settings.count)), _SCHEMA, "paraphrases")
            for text in instructions
        ]
        expected = settings.count * fmean(tokens_of(text) for text in instructions) if instructions else 0.0
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

    table, tally, facts = paraphrase(evalset, name, settings.count, rephrase)
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
