"""The miniature's instructions in other words: every other way that its language has to ask for the same."""

import re

from closerlook.miniature.language import ATTRIBUTES, QUESTIONS, REQUESTS

_WAYS = [
    *(
        [text.replace("{label}", label) for text in (*attribute.questions, *QUESTIONS)]
        for label, attribute in ATTRIBUTES.items()
    ),
    list(REQUESTS),
]
"""Wordings that ask for the same, each with the slot {name}."""


def paraphrases(instruction: str) -> list[str]:
    """The other wordings of a question for a fact or of an open request, from the next one on; none for anything else."""
    for ways in _WAYS:
        for place, way in enumerate(ways):
            before, _, after = way.partition("{name}")
            if asked := re.fullmatch(f"{re.escape(before)}(.+){re.escape(after)}", instruction):
                return [other.format(name=asked[1]) for other in (*ways[place + 1 :], *ways[:place])]
    return []
