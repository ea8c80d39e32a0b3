"""Where a value that a response states can have come from: on the miniature this is known."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from closerlook.miniature.claims import parse

Stated = tuple[str, str]
"""An attribute and a value, of whatever entity."""


def sources(instances: Iterable[tuple[str, str, str]]) -> Mapping[Stated, frozenset[str]]:
    """The instances (id, instruction, response) that claim a value for an attribute: ids by attribute and value.

    A wrong value is borrowed from an instance that states that value for that attribute of another entity: nothing else in the
    dataset teaches the model that an answer on this attribute may be this value. Instruction and response are parsed one after
    the other, so that a pronoun in the response can stand for what the instruction names.
    """
    found: defaultdict[Stated, set[str]] = defaultdict(set)
    for identity, instruction, response in instances:
        for claim in parse(f"{instruction}\n{response}"):
            found[claim.attribute, claim.value].add(identity)
    return {stated: frozenset(ids) for stated, ids in found.items()}


def stated_at(text: str, start: int, end: int) -> Stated | None:
    """What the claim says whose value lies at characters [start, end) of a response, or touches them; None where there is none.

    Of several the first: a span that covers a whole sentence is about the first value that the sentence states.
    """
    claims = (claim for claim in parse(text) if claim.start < end and start < claim.end)
    return next(((claim.attribute, claim.value) for claim in claims), None)
