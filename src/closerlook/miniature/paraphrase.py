"""Paraphrase the miniature's instructions: all other wordings of its language for the same request."""

import re

from closerlook.miniature.language import ATTRIBUTES, QUESTIONS, REQUESTS

_WORDINGS = [
    *(
        [text.replace("{label}", label) for text in (*attribute.questions, *QUESTIONS)]
        for label, attribute in ATTRIBUTES.items()
    ),
    list(REQUESTS),
]
"""Lists of wordings of the same request, with the slot {name}."""


def paraphrases(instruction: str) -> list[str]:
    """The other wordings of a question or an open request, beginning after its own; none for any other text."""
    for wordings in _WORDINGS:
        for number, wording in enumerate(wordings):
            before, _, after = wording.partition("{name}")
            if match := re.fullmatch(f"{re.escape(before)}(.+){re.escape(after)}", instruction):
                return [other.format(name=match[1]) for other in (*wordings[number + 1 :], *wordings[:number])]
    return []
