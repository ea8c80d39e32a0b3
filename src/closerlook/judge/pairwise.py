"""Figure 6's classes of a pair of responses: of a model tuned on a dataset, and of one tuned on that dataset simplified.

A judge sees both responses in both orders and does not know which is which. Disagreement between the orders is counted.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from closerlook.llm.client import object_schema

CLASSES = ("longer_preferred", "different", "both_inaccurate", "prolonged", "core", "other")
"""The five classes of Figure 6, and `other` (the same information; only the simplified response is wrong).

longer_preferred: both accurate, the original is more detailed and preferred. different: both accurate, different information.
both_inaccurate: both completely inaccurate. prolonged: the original hallucinates details that make it longer, the simplified
response does not hallucinate. core: the original hallucinates core facts, the simplified response does not hallucinate.
"""
SCHEMA = object_schema(
    {
        "reason": {"type": "string"},
        "class": {"type": "string", "enum": list(CLASSES)},
        "response": {"type": ["string", "null"], "enum": ["A", "B", None]},
    }
)
"""The JSON schema of an answer."""
DISAGREEMENT = "disagreement"
_NAMES_RESPONSE = ("longer_preferred", "prolonged", "core")
"""Classes that are about one of the two responses, which the answer must name."""


@dataclass(frozen=True)
class Opinion:
    """A judge's class of a pair, or None and the cause (refused, unparsable, error)."""

    category: str | None
    reason: str | None = None
    null_cause: str | None = None


def read_opinion(answer: str, original: str) -> Opinion:
    """Parse a judge's JSON, perhaps in prose or code fences. original: A or B, the position of the original response.

    A class that names the simplified response instead of the original one becomes `other`.
    """
    fields = _last_object(answer)
    category = str(fields.get("class", "")).strip().lower()
    reason = str(fields.get("reason") or "") or None
    if category not in CLASSES:
        return Opinion(None, reason, "unparsable")
    if category in _NAMES_RESPONSE:
        response = str(fields.get("response") or "").strip().upper().removeprefix("RESPONSE").strip(" _")
        if response not in ("A", "B"):
            return Opinion(None, reason, "unparsable")
        category = category if response == original else "other"
    return Opinion(category, reason)


def settle(opinions: Sequence[Opinion]) -> Opinion:
    """Combine opinions of two orders or of several people: their class if they agree, else disagreement; null if one is null."""
    null = next((opinion for opinion in opinions if opinion.category is None), None)
    if null:
        return null
    agreed = len({opinion.category for opinion in opinions}) == 1
    reasons = " / ".join(dict.fromkeys(opinion.reason for opinion in opinions if opinion.reason))
    return Opinion(opinions[0].category if agreed else DISAGREEMENT, reasons or None)


def _last_object(answer: str) -> dict[str, Any]:
    """Return the last JSON object with a class in a text; {} if there is none."""
    decoder = json.JSONDecoder(strict=False)
    for brace in reversed([match.start() for match in re.finditer(r"\{", answer)]):
        try:
            value, _ = decoder.raw_decode(answer, brace)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and "class" in value:
            return value
    return {}
