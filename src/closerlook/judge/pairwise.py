"""Figure 6's class of a pair of responses: one of a model tuned on a dataset, one of the same tuned on that dataset simplified.

A judge sees both responses in both orders and does not know which is which; where the orders disagree, that is counted.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

CLASSES = ("longer_preferred", "different", "both_inaccurate", "prolonged", "core", "other")
"""Figure 6's five, and what is none of them (the same information; only the simplified one is wrong).

longer_preferred: both accurate, the original more detailed and preferred. different: both accurate, different information.
both_inaccurate: both completely inaccurate. prolonged: the original hallucinated in order to prolong itself, the simplified one
did not hallucinate. core: the original hallucinated in its core facts, the simplified one did not hallucinate.
"""
SCHEMA = {
    "type": "object",
    "properties": {
        "reason": {"type": "string"},
        "class": {"type": "string", "enum": list(CLASSES)},
        "response": {"type": ["string", "null"], "enum": ["A", "B", None]},
    },
    "required": ["reason", "class", "response"],
    "additionalProperties": False,
}
"""The JSON schema of an answer."""
DISAGREEMENT = "disagreement"
_OF_ONE = ("longer_preferred", "prolonged", "core")
"""Classes that speak of one of the responses."""


@dataclass(frozen=True)
class Opinion:
    """One answer of a judge: a class, or none and why (refused, unparsable, error)."""

    category: str | None
    reason: str | None = None
    null_cause: str | None = None


def read_opinion(answer: str, original: str) -> Opinion:
    """A judge's JSON, in prose or fences if need be; `original`: A or B, the place of the response that was not simplified.

    What is said of the other response is none of Figure 6's classes: `other`.
    """
    said = _json(answer)
    category = str(said.get("class", "")).strip().lower()
    reason = str(said.get("reason") or "") or None
    if category not in CLASSES:
        return Opinion(None, reason, "unparsable")
    if category in _OF_ONE:
        of = str(said.get("response") or "").strip().upper().removeprefix("RESPONSE").strip(" _")
        if of not in ("A", "B"):
            return Opinion(None, reason, "unparsable")
        category = category if of == original else "other"
    return Opinion(category, reason)


def settle(opinions: Sequence[Opinion]) -> Opinion:
    """One opinion of several (two orders, or several people): theirs where they agree, else disagreement; null if one is null."""
    null = next((opinion for opinion in opinions if opinion.category is None), None)
    if null:
        return null
    agreed = len({opinion.category for opinion in opinions}) == 1
    reasons = " / ".join(dict.fromkeys(opinion.reason for opinion in opinions if opinion.reason))
    return Opinion(opinions[0].category if agreed else DISAGREEMENT, reasons or None)


def _json(answer: str) -> dict:
    """The last JSON object in a text that has a class; {} where there is none."""
    decoder = json.JSONDecoder(strict=False)
    for brace in reversed([match.start() for match in re.finditer(r"\{", answer)]):
        try:
            value, _ = decoder.raw_decode(answer, brace)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and "class" in value:
            return value
    return {}
