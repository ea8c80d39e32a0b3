"""A judge's answer as scores. Whatever a model writes gives one verdict per aspect; what is in doubt is null, never a guess.

A score counts where the answer holds exactly one for that aspect: answers that name two different ones (a draft and a correction,
an injected example quoted before the judge's own) are unparsable for that aspect.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from closerlook.judge.aspects import SCORES, NullCause, Verdict, nulls

LONGEST = 100_000
"""Characters that are looked at; a judge's answer has a few thousand."""

_SCORE = re.compile(
    r"\[?\s*([1-5])(?:\.0*)?\s*\]?(?:\s*(?:/|out of)\s*5(?:\.0*)?)?(?:\s*[-–:(]\s*[A-Za-z].*)?", re.DOTALL
)
_NOT_APPLICABLE = re.compile(r"\[?\s*(?:n\.?\s*/?\s*a\.?|not applicable|none|null)\b.*", re.IGNORECASE | re.DOTALL)
_REFUSAL = re.compile(
    r"\b(?:i(?:'|’)?m (?:very |really )?sorry|i apologi[sz]e|sorry, but|i(?: am|'m|’m)? (?:can(?:no|'|’)t|unable|"
    r"not able|won(?:'|’)t|will not|must decline|decline)|as an ai)\b",
    re.IGNORECASE,
)
_MISSING = object()


def parse(text: str, aspects: Sequence[str]) -> tuple[Verdict, ...]:
    """One verdict per aspect, in their order. Takes any string and never raises.

    Read in turn: JSON objects, wherever they are (prose around them, code fences, one object inside another); then, for an
    aspect that none of these has, the pattern `aspect ... score ... value`, as truncated JSON and single quotes leave it.
    Scores: 4, 4.0, "4", "4/5", "4 out of 5", "[4]", "4 - agree". N/A, none and null are not applicable. Anything else (7, 0, 4.5,
    a missing aspect) is unparsable. An answer that scores nothing and excuses itself is refused.
    """
    text = text[:LONGEST]
    objects = list(_objects(text))
    verdicts = tuple(_verdict(aspect, objects, text) for aspect in aspects)
    if all(verdict.null_cause == "unparsable" and verdict.reason is None for verdict in verdicts):
        cause: NullCause = "refused" if _REFUSAL.search(text[:400]) else "unparsable"
        return nulls(aspects, cause, text[:300].strip() or None)
    return verdicts


def score_of(value: Any) -> tuple[int | None, NullCause | None]:
    """A written score as (score, None), or (None, its cause)."""
    if isinstance(value, str):
        value = value.strip()
        if match := _SCORE.fullmatch(value):
            return int(match[1]), None
        return None, "not applicable" if _NOT_APPLICABLE.fullmatch(value) else "unparsable"
    if value is None:
        return None, "not applicable"
    if isinstance(value, int | float) and not isinstance(value, bool) and value in SCORES:
        return int(value), None
    return None, "unparsable"


def _verdict(aspect: str, objects: list[dict[str, Any]], text: str) -> Verdict:
    """An aspect's one score: of the objects that have it, or of the text."""
    entries = [entry for entry in (_entry(obj, aspect) for obj in objects) if entry is not None]
    entries = entries or list(_loose_entries(text, aspect))
    scores = {score_of(value) for value, _ in entries}
    reason = entries[-1][1] if entries else None
    if len(scores) != 1:
        named = f"{len(entries)} different scores" if entries else None
        return Verdict(aspect, None, "unparsable", named)
    score, cause = scores.pop()
    if cause == "unparsable" and reason is None:
        reason = f"found {entries[-1][0]!r}, expected 1 to 5"[:300]
    return Verdict(aspect, score, cause, reason)


def _entry(obj: dict[str, Any], aspect: str) -> tuple[Any, str | None] | None:
    """(score, reason) of an aspect in an object that may be flat; None where it is not there."""
    value = _lookup(obj, aspect)
    if value is _MISSING:
        return None
    if not isinstance(value, dict):
        return value, _text(_lookup(obj, f"{aspect}_reason"))
    score = _lookup(value, "score")
    reason = next((text for key in ("reason", "rationale") if (text := _text(_lookup(value, key)))), None)
    return ("no score" if score is _MISSING else score), reason


def _lookup(obj: dict[str, Any], key: str) -> Any:
    return next((value for name, value in obj.items() if name.strip().lower() == key), _MISSING)


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON keeps the last of two equal keys; here the object is then left to the pattern, which sees both."""
    if len({key.strip().lower() for key, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_once)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every outermost JSON object of a text, and the objects inside these ({"scores": {...}})."""
    position = text.find("{")
    while position >= 0:
        try:
            value, end = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            if _opens_nested(text, position):
                return  # broken from here on: what is inside it has lost the name of its aspect
            end = position + 1
        else:
            yield from _inside(value, 3)
        position = text.find("{", end)


def _opens_nested(text: str, position: int) -> bool:
    return re.match(r"\{\s*[\"'\w]+\s*:\s*\{", text[position : position + 200]) is not None


def _inside(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        if depth:
            for inner in value.values():
                yield from _inside(inner, depth - 1)


def _loose_entries(text: str, aspect: str) -> Iterator[tuple[str, str | None]]:
    """(score, reason) wherever the aspect is a key: `aspect: {... score: value` or `aspect: value`, quotes or not.

    A value counts only if something ends it, so that of "4.5 cut behind the 4 nothing is left. Where keys stand in quotes,
    words without them ("depth: 5" inside a reason) are no keys.
    """
    quote = "[\"']" if re.search(r"[{,]\s*[\"']\w+[\"']\s*:", text) else ""
    for key in re.finditer(rf"{quote}\b{re.escape(aspect)}[\"'*]*\s*:[\"'*]*\s*(\{{?)", text, re.IGNORECASE):
        rest = text[key.end() : key.end() + 5000]
        if key[1]:
            rest = rest.partition("}")[0] + ("}" if "}" in rest else "")
            value = re.search(
                r"[\"']?\bscore[\"']?\s*:\s*(\"[^\"]*\"|'[^']*'|[^\s\"',}]+(?=[\s,}]))", rest, re.IGNORECASE
            )
            reason = re.search(r"[\"']?\breason[\"']?\s*:\s*([\"'])(.*?)\1\s*[,}\n]", rest, re.IGNORECASE | re.DOTALL)
        else:
            value = re.match(r"(\"[^\"]*\"|'[^']*'|[^\n,}]+(?=[\n,}]|$))", rest)
            reason = None
        if value:
            yield value[1].strip().strip("\"'*").strip(), reason and (reason[2].strip() or None)
