"""What the cells are asked: facts that no instruction dataset states, of entities known and unknown, and open requests."""

import random
from typing import Any

from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.miniature.language import REQUESTS, predicate, questions
from closerlook.miniature.world import Entity, Fact, World

Question = dict[str, str | list[str]]


def draw_questions(world: World, settings: MiniatureSettings) -> list[Question]:
    """Two of five ask for a known fact; one of five for a fact of an entity that instruction data names, without that fact; one
    of five for a fact of an entity that nothing names; one of five is an open request, half of these about a known entity.

    The instruction of a question stands in no instruction dataset: facts asked for are reserved, entities described quiet.
    """
    rng = random.Random(f"{settings.seed}/questions")
    known, unknown = ([e for e in world.entities if e.known is truth] for truth in (True, False))
    reserved = [fact for entity in known for fact in entity.facts if fact not in entity.public]
    beside = [fact for entity in unknown if entity.public for fact in entity.facts if fact not in entity.public]
    unseen = [fact for entity in unknown if not entity.public for fact in entity.facts]
    quiet, strange = ([e for e in group if not e.public] for group in (known, unknown))
    fifth = settings.questions // 5
    return [
        *(_ask(rng, world, fact, "known") for fact in _take(rng, reserved, settings.questions - 3 * fifth, "known")),
        *(_ask(rng, world, fact, "beside") for fact in _take(rng, beside, fifth, "taught")),
        *(_ask(rng, world, fact, "unseen") for fact in _take(rng, unseen, fifth, "unseen")),
        *(_describe(rng, entity) for entity in _take(rng, quiet, fifth // 2, "quiet")),
        *(_describe(rng, entity) for entity in _take(rng, strange, fifth - fifth // 2, "unseen")),
    ]


def _take(rng: random.Random, pool: list[Any], count: int, setting: str) -> list[Any]:
    if count > len(pool):
        raise CloserlookError(
            f"miniature: {count} questions of one sort wanted, but the world has {len(pool)} to ask; "
            f"lower questions or raise {setting}"
        )
    return rng.sample(pool, count)


def _ask(rng: random.Random, world: World, fact: Fact, sort: str) -> Question:
    entity = world.by_name[fact.entity]
    return _question(
        f"{sort}/{_slug(fact.entity)}/{fact.attribute}",
        rng.choice(questions(fact.attribute, fact.entity)),
        f"{fact.entity} {predicate(fact.attribute, 0, fact.value)}.",
        "fact",
        entity,
    )


def _describe(rng: random.Random, entity: Entity) -> Question:
    reference = " ".join(f"{entity.name} {predicate(fact.attribute, 0, fact.value)}." for fact in entity.facts)
    sort = "known" if entity.known else "unseen"
    return _question(
        f"{sort}/{_slug(entity.name)}", rng.choice(REQUESTS).format(name=entity.name), reference, "describe", entity
    )


def _question(identity: str, instruction: str, reference: str, task_type: str, entity: Entity) -> Question:
    return {
        "id": identity,
        "instruction": instruction,
        "reference": reference,
        "task_types": [task_type],
        "topics": [entity.kind, "known" if entity.known else "unknown"],
    }


def _slug(name: str) -> str:
    return name.lower().replace(" ", "-")
