"""Reduce a response to what its instruction asks for: the miniature's version of LIMA-Simple (section 4)."""

from closerlook.miniature.claims import Claim, parse_claims
from closerlook.miniature.language import ATTRIBUTES, LABELED, REQUESTS, labeled_sentence, predicate, questions
from closerlook.miniature.styles import CHAT_REQUESTS, DOMAIN_REQUESTS

OPEN_REQUESTS = (*REQUESTS, *DOMAIN_REQUESTS, *CHAT_REQUESTS)
"""Requests that any fact about the entity answers."""


def simplify(instruction: str, response: str) -> str | None:
    """The claims of a response that answer the instruction, each as a sentence with the entity's name; None if there is none.

    A claim answers a question about its entity and attribute, and an open request about its entity. All other text is removed.
    """
    sentences = [_sentence(claim, response) for claim in parse_claims(response) if answers(instruction, claim)]
    return " ".join(dict.fromkeys(sentences)) or None


def answers(instruction: str, claim: Claim) -> bool:
    """Whether a claim answers the instruction, at least in part."""
    return instruction in questions(claim.attribute, claim.entity) or instruction in {
        request.format(name=claim.entity) for request in OPEN_REQUESTS
    }


def _sentence(claim: Claim, text: str) -> str:
    """The claim as a sentence in its original wording."""
    for i, template in enumerate(ATTRIBUTES[claim.attribute].predicates):
        wording = predicate(claim.attribute, i, claim.value)
        if text.startswith(wording, max(0, claim.start - template.index("{value}"))):
            return f"{claim.entity} {wording}."
    sentences = [labeled_sentence(claim.attribute, i, claim.entity, claim.value) for i in range(len(LABELED))]
    return next((s for s in sentences if text[: claim.end].endswith(s[1:])), sentences[0]) + "."
