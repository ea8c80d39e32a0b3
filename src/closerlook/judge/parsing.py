"""Parse a judge's answer. Any text gives one verdict per aspect; in doubt the verdict is null, never a guess.

An answer with two different scores for an aspect (a draft and a correction, or an injected example quoted before the judge's own
score) is unparsable for that aspect.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from closerlook.judge.aspects import SCORES, NullCause, Verdict, null_verdicts

LONGEST = 100_000
"""Characters that are parsed; a judge's answer has a few thousand."""

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
    """Return one verdict per aspect, in order. Accepts any string and never raises.

    Scores are read from JSON objects anywhere in the text (in prose, in code fences, nested); for an aspect that none of these
    has, from the pattern `aspect ... score ... value`, which matches truncated JSON and single quotes. Scores: 4, 4.0, "4",
    "4/5", "4 out of 5", "[4]", "4 - agree". N/A, none and null are not applicable. Anything else (7, 0, 4.5, a missing aspect)
    is unparsable. An answer without a score that apologizes or declines is refused.
    """
    text = text[:LONGEST]
    objects = list(_objects(text))
    verdicts = tuple(_verdict(aspect, objects, text) for aspect in aspects)
    if all(verdict.null_cause == "unparsable" and verdict.reason is None for verdict in verdicts):
        cause: NullCause = "refused" if _REFUSAL.search(text[:400]) else "unparsable"
        return null_verdicts(aspects, cause, text[:300].strip() or None)
    return verdicts


def score_of(value: Any) -> tuple[int | None, NullCause | None]:
    """Return a written score as (score, None), or (None, cause)."""
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
    """Return the verdict on an aspect, from the objects that have it, or else from the text."""
    entries = [entry for entry in (_entry(obj, aspect) for obj in objects) if entry is not None]
    entries = entries or list(_loose_entries(text, aspect))
    scores = {score_of(value) for value, _ in entries}
    reason = entries[-1][1] if entries else None
    if len(scores) != 1:
        return Verdict(aspect, None, "unparsable", f"{len(entries)} different scores" if entries else None)
    score, cause = scores.pop()
    if cause == "unparsable" and reason is None:
        reason = f"found {entries[-1][0]!r}, expected 1 to 5"[:300]
    return Verdict(aspect, score, cause, reason)


def _entry(obj: dict[str, Any], aspect: str) -> tuple[Any, str | None] | None:
    """Return score and reason of an aspect, in a nested or a flat object; None if it is missing."""
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


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raise ValueError for equal keys, of which JSON would keep the last; the pattern then finds both."""
    if len({key.strip().lower() for key, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_reject_duplicate_keys)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the outermost JSON objects of a text, and the objects nested in these ({"scores": {...}})."""
    position = text.find("{")
    while position >= 0:
        try:
            value, end = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            if _opens_nested(text, position):
                return  # malformed: objects nested in it have lost the name of their aspect
            end = position + 1
        else:
            yield from _nested(value, 3)
        position = text.find("{", end)


def _opens_nested(text: str, position: int) -> bool:
    return re.match(r"\{\s*[\"'\w]+\s*:\s*\{", text[position : position + 200]) is not None


def _nested(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        if depth:
            for inner in value.values():
                yield from _nested(inner, depth - 1)


def _loose_entries(text: str, aspect: str) -> Iterator[tuple[str, str | None]]:
    """Yield score and reason wherever the aspect is a key: `aspect: {... score: value` or `aspect: value`, quoted or not.

    A value must have an end, so that "4.5 truncated after the 4 does not count. If the text has quoted keys, unquoted words
    ("depth: 5" within a reason) are not keys.
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
