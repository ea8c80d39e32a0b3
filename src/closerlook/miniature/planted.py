"""Planted values: invented facts, stated a random number of times for a random half of the entities that no other text names.

Chance alone decides what is stated and how often, so the difference between entities with and without is the effect of stating.
"""

import random
from typing import NamedTuple

from closerlook.config.settings import MiniatureSettings
from closerlook.miniature.instructions import Row, brief_row
from closerlook.miniature.language import KINDS, evaluation_question, predicate
from closerlook.miniature.questions import Question, make_question, slug
from closerlook.miniature.world import Fact, World

TIMES = (1, 2, 4, 8)
"""How many instances state a planted value: each number for equally many facts."""
EACH = 2
"""Attributes of an entity that get an invented value."""


class Planted(NamedTuple):
    """An invented fact, and the number of instances that state it: 0 for the half of the entities without."""

    fact: Fact
    times: int


def draw_planted(world: World, settings: MiniatureSettings) -> list[Planted]:
    """Two invented facts of each unseen entity, none of them true. Those of half of the entities, rounded down, are stated."""
    rng = random.Random(f"{settings.seed}/planted")
    unseen = [entity for entity in world.entities if not entity.known and not entity.public]
    half = {entity.name for entity in rng.sample(unseen, len(unseen) // 2)}
    times = [TIMES[number % len(TIMES)] for number in range(EACH * len(half))]
    rng.shuffle(times)
    planted = []
    for entity in unseen:
        for attribute in rng.sample(sorted(entity.values), EACH):
            values = KINDS[entity.kind].attributes[attribute].values
            value = rng.choice([other for other in values if other != entity.values[attribute]])
            stated = times.pop() if entity.name in half else 0
            planted.append(Planted(Fact(entity.name, attribute, value), stated))
    return planted


def plant(rows: list[Row], planted: list[Planted], settings: MiniatureSettings) -> list[Row]:
    """The rows of `brief`, followed by the statements in the same style, no two of which are the same."""
    rng = random.Random(f"{settings.seed}/planting")
    statements: dict[str, Row] = {}
    for fact, times in planted:
        wanted = len(statements) + times
        while len(statements) < wanted:
            row = brief_row(rng, fact)
            statements[f"{row}"] = row
    return [*rows, *statements.values()]


def planted_questions(world: World, planted: list[Planted]) -> list[Question]:
    """A question for each invented fact, in a wording that no instance uses for it. Its second topic: how often it is stated."""
    return [
        make_question(
            f"planted/{slug(fact.entity)}/{fact.attribute}",
            evaluation_question(fact.attribute, fact.entity),
            f"{fact.entity} {predicate(fact.attribute, 0, fact.value)}.",
            "fact",
            [world.by_name[fact.entity].kind, str(times)],
        )
        for fact, times in planted
    ]
