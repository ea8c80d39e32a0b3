"""The evaluation questions: facts that pre-training, the instruction data or no text states, and open requests."""

import random
from typing import Any

from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.miniature.language import REQUESTS, evaluation_question, predicate
from closerlook.miniature.world import Entity, Fact, World

Question = dict[str, str | list[str]]

SORTS = ("known", "taught", "beside", "unseen")
"""What is asked for. known: facts that only the pre-training corpus states. taught: facts of unknown entities that instruction
datasets may state. beside: facts of the same entities that none states. unseen: facts of entities that no text mentions."""


def draw_questions(world: World, settings: MiniatureSettings) -> list[Question]:
    """Draw the questions, whose instructions are in no instruction dataset.

    A quarter ask for known facts, three eighths for taught facts, an eighth each for facts beside these and for unseen facts. One
    eighth are open requests, half of them about known entities, the others about unseen ones.
    """
    rng = random.Random(f"{settings.seed}/questions")
    known, unknown = ([e for e in world.entities if e.known is truth] for truth in (True, False))
    heard = [entity for entity in unknown if entity.public]
    facts = {
        "known": [fact for entity in known for fact in entity.facts if fact not in entity.public],
        "taught": [fact for entity in heard for fact in entity.public],
        "beside": [fact for entity in heard for fact in entity.facts if fact not in entity.public],
        "unseen": [fact for entity in unknown if not entity.public for fact in entity.facts],
    }
    eighth = settings.questions // 8
    counts = {"known": 2 * eighth, "taught": settings.questions - 5 * eighth, "beside": eighth, "unseen": eighth}
    quiet, strange = ([e for e in group if not e.public] for group in (known, unknown))
    return [
        *(
            _fact_question(world, fact, sort)
            for sort in SORTS
            for fact in _sample(rng, facts[sort], counts[sort], "taught" if sort == "beside" else sort)
        ),
        *(_open_request(rng, entity, "known") for entity in _sample(rng, quiet, eighth // 2, "quiet")),
        *(_open_request(rng, entity, "unseen") for entity in _sample(rng, strange, eighth - eighth // 2, "unseen")),
    ]


def _sample(rng: random.Random, pool: list[Any], count: int, setting: str) -> list[Any]:
    if count > len(pool):
        raise CloserlookError(
            f"miniature: expected {count} questions of one kind, but the world has only {len(pool)}; "
            f"lower questions or raise {setting}"
        )
    return rng.sample(pool, count)


def _fact_question(world: World, fact: Fact, sort: str) -> Question:
    return make_question(
        f"{sort}/{slug(fact.entity)}/{fact.attribute}",
        evaluation_question(fact.attribute, fact.entity),
        f"{fact.entity} {predicate(fact.attribute, 0, fact.value)}.",
        "fact",
        [world.by_name[fact.entity].kind, sort],
    )


def _open_request(rng: random.Random, entity: Entity, sort: str) -> Question:
    reference = " ".join(f"{entity.name} {predicate(fact.attribute, 0, fact.value)}." for fact in entity.facts)
    request = rng.choice(REQUESTS).format(name=entity.name)
    return make_question(f"{sort}/{slug(entity.name)}", request, reference, "describe", [entity.kind, sort])


def make_question(identity: str, instruction: str, reference: str, task_type: str, topics: list[str]) -> Question:
    """A row of an evalset."""
    return {
        "id": identity,
        "instruction": instruction,
        "reference": reference,
        "task_types": [task_type],
        "topics": topics,
    }


def slug(name: str) -> str:
    """A name as part of an id."""
    return name.lower().replace(" ", "-")
