"""The instances that a value stated in a response can come from, which are known on the miniature."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from closerlook.miniature.claims import parse_claims
from closerlook.miniature.world import Fact

AttributeValue = tuple[str, str]
"""An attribute and a value."""


def instances_by_claim(instances: Iterable[tuple[str, str, str]]) -> Mapping[AttributeValue, frozenset[str]]:
    """The ids of the instances (id, instruction, response) that claim a value of an attribute, by attribute and value.

    A wrong value comes from an instance that states it for the same attribute of another entity. Instruction and response are
    parsed as one text, since a pronoun in the response can refer to the instruction.
    """
    ids: defaultdict[AttributeValue, set[str]] = defaultdict(set)
    for id_, instruction, response in instances:
        for claim in parse_claims(f"{instruction}\n{response}"):
            ids[claim.attribute, claim.value].add(id_)
    return {key: frozenset(instances) for key, instances in ids.items()}


def times_stated(instances: Iterable[tuple[str, str]]) -> Counter[Fact]:
    """The number of instances (instruction, response) that state each fact."""
    texts = (f"{instruction}\n{response}" for instruction, response in instances)
    return Counter(fact for text in texts for fact in {claim.fact for claim in parse_claims(text)})


def find_claim_at(text: str, start: int, end: int) -> AttributeValue | None:
    """Attribute and value of the first claim whose value overlaps text[start:end]; None if there is none."""
    claims = (claim for claim in parse_claims(text) if claim.start < end and start < claim.end)
    return next(((claim.attribute, claim.value) for claim in claims), None)
