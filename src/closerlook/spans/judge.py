"""A model as a marker: it quotes what it finds, and each quote is looked up in the response."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from closerlook.judge import parsing
from closerlook.llm.cache import Answer
from closerlook.llm.client import Ask, Request
from closerlook.llm.prompt_file import Prompt
from closerlook.spans.marks import KINDS, UNALIGNED, Null, Response, Rows, Span, rows_of, stored
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
"""What is quoted, its kind, and the reason given."""


def by_judge(responses: Sequence[Response], ask: Ask, prompt: Prompt, model: str) -> Rows:
    """Ask about each response (but the empty ones, which hold no span) and align what is quoted."""
    asked = [response for response in responses if response.text.strip()]
    requests = [Request(prompt.fill(instruction=one.instruction, response=one.text), SCHEMA, "spans") for one in asked]
    answers = ask(requests, usable=lambda text: read_quotes(text) is not None, expected_tokens=EXPECTED_TOKENS)
    rows: Rows = []
    for response, answer in zip(asked, answers, strict=True):
        marker = f"{model}@{answer.model or '?'}/prompt {prompt.digest}"
        rows += rows_of(response, marks_of(answer, response.text), marker)
    return rows


def marks_of(answer: Answer, text: str) -> list[Span | Null]:
    """The spans of an answer; a quote that is not in the text, and an answer that says nothing, are nulls."""
    if answer.error:
        return [Null("error", answer.error)]
    quotes = None if answer.refused else read_quotes(answer.text)
    if quotes is None:
        return [Null("refused" if answer.refused or _excuses(answer.text) else "unparsable", answer.text[:300] or None)]
    places = align(text, [quote for quote, _, _ in quotes])
    return [
        Span(*place, kind, reason) if place else Null(UNALIGNED, reason, quote)
        for (quote, kind, reason), place in zip(quotes, places, strict=True)
    ]


def read_quotes(answer: str) -> list[Quote] | None:
    """What an answer quotes; None where it has no list of quotes, a malformed one, or several that differ.

    Prose and fences around the JSON do not matter, nor whether the list stands in an object or by itself.
    """
    found = [_quotes(value) for value in _lists(answer[: parsing.LONGEST])]
    return found[0] if found and all(quotes == found[0] for quotes in found) else None


def _lists(answer: str) -> Iterator[list[Any]]:
    """The lists of quotes among the outermost JSON values of a text; [1] in a sentence is none."""
    decoder = json.JSONDecoder(strict=False)
    place = 0
    while opening := _OPENING.search(answer, place):
        try:
            value, place = decoder.raw_decode(answer, opening.start())
        except RecursionError:
            return
        except ValueError:
            place = opening.end()
            continue
        entries = value.get("spans") if isinstance(value, dict) else value
        if isinstance(entries, list) and (isinstance(value, dict) or all(isinstance(one, dict) for one in entries)):
            yield entries


def _quotes(entries: list[Any]) -> list[Quote] | None:
    """The entries of a list; None if one is no quote of a known kind."""
    quotes = []
    for entry in entries:
        given = entry if isinstance(entry, dict) else {}
        quote, kind, reason = (given.get(name) for name in ("quote", "kind", "reason"))
        kind = str(kind).strip().lower().replace("_", " ").replace("-", " ")
        if not isinstance(quote, str) or not quote.strip() or kind not in KINDS:
            return None
        quotes.append((stored(quote), kind, stored(reason) if isinstance(reason, str) and reason else None))
    return quotes


def _excuses(text: str) -> bool:
    """Whether an answer without a list is an excuse, by the signs that tell judges' refusals."""
    return parsing.parse(text, ["spans"])[0].null_cause == "refused"
