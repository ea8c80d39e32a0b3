"""An answer cut to what its instruction asks for: the miniature's LIMA-Simple, whose truth is known (section 4)."""

from closerlook.miniature.claims import Claim, parse
from closerlook.miniature.language import ATTRIBUTES, LABELLED, REQUESTS, labelled, predicate, questions
from closerlook.miniature.styles import CHAT_REQUESTS, DOMAIN_REQUESTS

OPEN = (*REQUESTS, *DOMAIN_REQUESTS, *CHAT_REQUESTS)
"""Requests that any fact about the entity answers."""


def simplify(instruction: str, response: str) -> str | None:
    """The sentences of a response that answer the instruction, each about the entity by name and without its lead-in.

    A claim answers a question for its entity and attribute, and an open request for its entity. Courtesies, warnings and facts
    that nobody asked for go; no fact comes that the response did not claim. None where nothing in it answers.
    """
    kept = [_sentence(claim, response) for claim in parse(response) if answers(instruction, claim)]
    return " ".join(dict.fromkeys(kept)) or None


def answers(instruction: str, claim: Claim) -> bool:
    """Whether the claim is what the instruction asks for, or part of it."""
    return instruction in questions(claim.attribute, claim.entity) or instruction in {
        request.format(name=claim.entity) for request in OPEN
    }


def _sentence(claim: Claim, text: str) -> str:
    """The claim as a sentence of its own, in the wording that it has in the text."""
    for i, template in enumerate(ATTRIBUTES[claim.attribute].predicates):
        wording = predicate(claim.attribute, i, claim.value)
        if text.startswith(wording, max(0, claim.start - template.index("{value}"))):
            return f"{claim.entity} {wording}."
    sentences = [labelled(claim.attribute, i, claim.entity, claim.value) for i in range(len(LABELLED))]
    return next((s for s in sentences if text[: claim.end].endswith(s[1:])), sentences[0]) + "."
