"""Parse the claims of a text and check them against the world. The oracle judge and marker are based on this.

The grammar is that of `closerlook.miniature.language`: a subject (a name, or a pronoun for the entity named last) followed by
one or more joined predicates, or a labeled sentence. Other text contains no claims.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from closerlook.miniature.language import ATTRIBUTES, KINDS, LABELED
from closerlook.miniature.world import Fact, World

Verdict = Literal["right", "wrong", "unverifiable"]


@dataclass(frozen=True)
class Claim:
    """A claim that `entity` has `value` for `attribute`. The value is text[start:end]."""

    entity: str
    attribute: str
    value: str
    start: int
    end: int

    @property
    def fact(self) -> Fact:
        """The claim without its position."""
        return Fact(self.entity, self.attribute, self.value)


def _pattern(template: str, **slots: str) -> str:
    for slot, pattern in slots.items():
        template = template.replace(f"{{{slot}}}", pattern)
    return template


def _any(words: Iterator[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_NAME = "|".join(f"(?:{'|'.join(kind.first)}) (?:{'|'.join(kind.second)})" for kind in KINDS.values())
_VALUE = f"(?P<value>{_any(value for attribute in ATTRIBUTES.values() for value in attribute.values)})"


@cache  # compiled on first use, since every job imports this module
def _predicate_patterns() -> list[tuple[str, re.Pattern[str]]]:
    return [
        (label, re.compile(_pattern(template, value=_VALUE) + r"(?!\w)"))
        for label, attribute in ATTRIBUTES.items()
        for template in attribute.predicates
    ]


_JOIN = re.compile(r", and |, | and ")
_LABELED = "|".join(
    f"[{template[0]}{template[0].lower()}]"
    + _pattern(
        template[1:],
        label=f"(?P<label{i}>{'|'.join(ATTRIBUTES)})",
        name=f"(?P<name{i}>{_NAME})",
        value=f"(?:a |the )?{_VALUE.replace('<value>', f'<value{i}>')}",
    )
    for i, template in enumerate(LABELED)
)
_PRONOUN = "[Ss]he|[Hh]e|[Ii]t|[Tt]hey"
# A labeled sentence begins before its name, so it is the leftmost match.
_SUBJECT = re.compile(rf"(?<!\w)(?:{_LABELED}|(?P<name>{_NAME})|{_PRONOUN})(?!\w)")


def parse_claims(text: str) -> list[Claim]:
    """The claims of any text, in the order of their values."""
    claims: list[Claim] = []
    named: str | None = None
    position = 0
    while subject := _SUBJECT.search(text, position):
        labeled = _labeled_claim(subject)
        named = labeled.entity if labeled else subject["name"] or named
        if labeled:
            claims.append(labeled)
        elif named:
            claims += _predicates(text, subject.end(), named)
        position = max(subject.end(), claims[-1].end if claims else 0)
    return claims


def _predicates(text: str, position: int, entity: str) -> Iterator[Claim]:
    """The claims of the joined predicates after a subject that ends at `position`."""
    position = position + 1 if text.startswith(" ", position) else len(text)
    while True:
        matches = ((label, pattern.match(text, position)) for label, pattern in _predicate_patterns())
        label, match = next(((label, match) for label, match in matches if match), ("", None))
        if match is None:
            return
        yield Claim(entity, label, match["value"], match.start("value"), match.end("value"))
        join = _JOIN.match(text, match.end())
        if join is None:
            return
        position = join.end()


def _labeled_claim(match: re.Match[str]) -> Claim | None:
    """The claim of a labeled sentence, or None if the match is only a subject."""
    for i in range(len(LABELED)):
        if match[value := f"value{i}"]:
            return Claim(match[f"name{i}"], match[f"label{i}"], match[value], match.start(value), match.end(value))
    return None


def check_fact(world: World, fact: Fact) -> Verdict:
    """The verdict on a fact: unverifiable if the world has no such entity or the entity no such attribute."""
    truth = world.value(fact.entity, fact.attribute)
    return "unverifiable" if truth is None else "right" if truth == fact.value else "wrong"


def check_claims(world: World, text: str) -> list[tuple[Claim, Verdict]]:
    """All claims of a text with their verdicts."""
    return [(claim, check_fact(world, claim.fact)) for claim in parse_claims(text)]


def grade_answer(reference: str, response: str) -> Literal["right", "wrong", "none"]:
    """Whether the response's first claim about the reference's entity and attribute has the reference's value.

    Raises ValueError if the reference does not state exactly one fact.
    """
    facts = [claim.fact for claim in parse_claims(reference)]
    if len(facts) != 1:
        raise ValueError(f"the reference states {len(facts)} facts, not one: {reference!r}")
    entity, attribute, value = facts[0]
    given = next((c.value for c in parse_claims(response) if (c.entity, c.attribute) == (entity, attribute)), None)
    return "none" if given is None else "right" if given == value else "wrong"
