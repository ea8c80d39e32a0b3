"""What a text claims, and whether it is so: the oracle that judges, marks and traces without a judge.

The grammar is that of `closerlook.miniature.language`: a subject (a name, or a pronoun for the entity named last) followed by
one or several joined predicates, or a labelled sentence. Whatever else a model writes is no claim.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from closerlook.miniature.language import ATTRIBUTES, KINDS, LABELLED
from closerlook.miniature.world import Fact, World

Verdict = Literal["right", "wrong", "unverifiable"]


@dataclass(frozen=True)
class Claim:
    """That `entity` has `value` for `attribute`; `text[start:end]` is the value, in characters."""

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


@cache  # compiled when the first text is parsed: the tables' definitions import this module in every job
def _predicate_patterns() -> list[tuple[str, re.Pattern[str]]]:
    return [
        (label, re.compile(_pattern(template, value=_VALUE) + r"(?!\w)"))
        for label, attribute in ATTRIBUTES.items()
        for template in attribute.predicates
    ]


_JOIN = re.compile(r", and |, | and ")
_LABELLED = "|".join(
    f"[{template[0]}{template[0].lower()}]"
    + _pattern(
        template[1:],
        label=f"(?P<label{i}>{'|'.join(ATTRIBUTES)})",
        name=f"(?P<name{i}>{_NAME})",
        value=f"(?:a |the )?{_VALUE.replace('<value>', f'<value{i}>')}",
    )
    for i, template in enumerate(LABELLED)
)
_PRONOUN = "[Ss]he|[Hh]e|[Ii]t|[Tt]hey"
# a labelled sentence begins before its name, so the leftmost match is that sentence where there is one
_SUBJECT = re.compile(rf"(?<!\w)(?:{_LABELLED}|(?P<name>{_NAME})|{_PRONOUN})(?!\w)")


def parse(text: str) -> list[Claim]:
    """The claims of a text, in the order of their values. Any string will do; what is outside the grammar yields nothing."""
    claims: list[Claim] = []
    named: str | None = None
    position = 0
    while subject := _SUBJECT.search(text, position):
        found = _labelled(subject)
        if found is None:
            named = subject["name"] or named
            found = list(_predicates(text, subject.end(), named)) if named else []
        claims += found
        named = found[-1].entity if found else named
        position = max(subject.end(), found[-1].end if found else 0)
    return claims


def _predicates(text: str, position: int, entity: str) -> Iterator[Claim]:
    """The predicates that follow a subject that ends at `position`: a space and one, then any number that are joined to it."""
    position = position + 1 if text.startswith(" ", position) else len(text)
    while True:
        found = next(
            ((label, match) for label, pattern in _predicate_patterns() if (match := pattern.match(text, position))),
            None,
        )
        if found is None:
            return
        label, match = found
        yield Claim(entity, label, match["value"], match.start("value"), match.end("value"))
        join = _JOIN.match(text, match.end())
        if join is None:
            return
        position = join.end()


def _labelled(match: re.Match[str]) -> list[Claim] | None:
    """The claim of a labelled sentence, or None where the match is a mere subject."""
    for i in range(len(LABELLED)):
        if match[value := f"value{i}"]:
            return [Claim(match[f"name{i}"], match[f"label{i}"], match[value], match.start(value), match.end(value))]
    return None


def verdict(world: World, fact: Fact) -> Verdict:
    """Unverifiable: the world has no such entity, or that entity no such attribute."""
    truth = world.value(fact.entity, fact.attribute)
    return "unverifiable" if truth is None else "right" if truth == fact.value else "wrong"


def judge(world: World, text: str) -> list[tuple[Claim, Verdict]]:
    """Every claim of a text with its verdict."""
    return [(claim, verdict(world, claim.fact)) for claim in parse(text)]


def answer(reference: str, response: str) -> Literal["right", "wrong", "none"]:
    """Whether a response gives the fact that the reference states: by its first claim on that entity and attribute.

    Raises ValueError if the reference does not state exactly one fact (an open request has no one answer).
    """
    facts = [claim.fact for claim in parse(reference)]
    if len(facts) != 1:
        raise ValueError(f"the reference states {len(facts)} facts, not one: {reference!r}")
    entity, attribute, value = facts[0]
    given = next((c.value for c in parse(response) if (c.entity, c.attribute) == (entity, attribute)), None)
    return "none" if given is None else "right" if given == value else "wrong"
