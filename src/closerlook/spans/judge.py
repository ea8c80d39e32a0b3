"""Mark spans with a judge model: it quotes hallucinated text, and each quote is aligned with the response."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from closerlook.judge import parsing
from closerlook.llm.cache import Answer
from closerlook.llm.client import Ask, Request
from closerlook.llm.prompt_file import Prompt
from closerlook.spans.marks import KINDS, UNALIGNED, MarkedSpan, Null, Response, Rows, span_rows, storable
from closerlook.text.align import align

SLOTS = ("instruction", "response")
EXPECTED_TOKENS = 100
SCHEMA = {
    "type": "object",
    "properties": {
        "spans": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "quote": {"type": "string"},
                    "kind": {"type": "string", "enum": list(KINDS)},
                    "reason": {"type": "string"},
                },
                "required": ["quote", "kind", "reason"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["spans"],
    "additionalProperties": False,
}
"""The JSON schema of an answer."""

_OPENING = re.compile(r"[\[{]")

Quote = tuple[str, str, str | None]
"""The quoted text, its kind, and the reason given."""


def mark_by_judge(responses: Sequence[Response], ask: Ask, prompt: Prompt, model: str) -> Rows:
    """The spans that a model quotes from each non-empty response. ask: returns the answers to requests."""
    nonempty = [response for response in responses if response.text.strip()]
    prompts = [prompt.fill(instruction=response.instruction, response=response.text) for response in nonempty]
    requests = [Request(text, SCHEMA, "spans") for text in prompts]
    answers = ask(requests, usable=lambda text: read_quotes(text) is not None, expected_tokens=EXPECTED_TOKENS)
    rows: Rows = []
    for response, answer in zip(nonempty, answers, strict=True):
        marker = f"{model}@{answer.model or '?'}/prompt {prompt.digest}"
        rows += span_rows(response, marks_in_answer(answer, response.text), marker)
    return rows


def marks_in_answer(answer: Answer, text: str) -> list[MarkedSpan | Null]:
    """The spans of an answer, with a null for each quote that is not in the text, or for an unusable answer."""
    if answer.error:
        return [Null("error", answer.error)]
    quotes = None if answer.refused else read_quotes(answer.text)
    if quotes is None:
        cause = "refused" if answer.refused or _is_refusal(answer.text) else "unparsable"
        return [Null(cause, answer.text[:300] or None)]
    offsets = align(text, [quote for quote, _, _ in quotes])
    return [
        MarkedSpan(*position, kind, reason) if position else Null(UNALIGNED, reason, quote)
        for (quote, kind, reason), position in zip(quotes, offsets, strict=True)
    ]


def read_quotes(answer: str) -> list[Quote] | None:
    """The quotes of an answer; None if it has no list of quotes, a malformed one, or several that differ.

    Prose and fences around the JSON are ignored. The list may be bare or under the key `spans` of an object.
    """
    candidates = [_quotes(value) for value in _lists(answer[: parsing.LONGEST])]
    return candidates[0] if candidates and all(quotes == candidates[0] for quotes in candidates) else None


def _lists(answer: str) -> Iterator[list[Any]]:
    """The lists of objects among the outermost JSON values of a text; other lists, such as [1], are skipped."""
    decoder = json.JSONDecoder(strict=False)
    position = 0
    while opening := _OPENING.search(answer, position):
        try:
            value, position = decoder.raw_decode(answer, opening.start())
        except RecursionError:
            return
        except ValueError:
            position = opening.end()
            continue
        entries = value.get("spans") if isinstance(value, dict) else value
        if isinstance(entries, list) and (isinstance(value, dict) or all(isinstance(entry, dict) for entry in entries)):
            yield entries


def _quotes(entries: list[Any]) -> list[Quote] | None:
    """The entries of a list as quotes; None if an entry is malformed or of an unknown kind."""
    quotes = []
    for entry in entries:
        fields = entry if isinstance(entry, dict) else {}
        quote, kind, reason = (fields.get(name) for name in ("quote", "kind", "reason"))
        kind = str(kind).strip().lower().replace("_", " ").replace("-", " ")
        if not isinstance(quote, str) or not quote.strip() or kind not in KINDS:
            return None
        quotes.append((storable(quote), kind, storable(reason) if isinstance(reason, str) and reason else None))
    return quotes


def _is_refusal(text: str) -> bool:
    """Whether an answer without a list is a refusal, by the same criteria as for judges' scores."""
    return parsing.parse(text, ["spans"])[0].null_cause == "refused"
