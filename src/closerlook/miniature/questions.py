"""The evaluation questions: facts that no instruction dataset states, of known and unknown entities, and open requests."""

import random
from typing import Any

from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.miniature.language import REQUESTS, predicate, questions
from closerlook.miniature.world import Entity, Fact, World

Question = dict[str, str | list[str]]


def draw_questions(world: World, settings: MiniatureSettings) -> list[Question]:
    """Draw the questions, whose instructions are in no instruction dataset.

    Two fifths ask for facts of known entities, one fifth for facts of unknown entities that instruction data mention without the
    fact, and one fifth for facts of unknown entities that no text mentions. One fifth are open requests, half of them about
    known entities.
    """
    rng = random.Random(f"{settings.seed}/questions")
    known, unknown = ([e for e in world.entities if e.known is truth] for truth in (True, False))
    reserved = [fact for entity in known for fact in entity.facts if fact not in entity.public]
    unstated = [fact for entity in unknown if entity.public for fact in entity.facts if fact not in entity.public]
    unseen = [fact for entity in unknown if not entity.public for fact in entity.facts]
    quiet, strange = ([e for e in group if not e.public] for group in (known, unknown))
    fifth = settings.questions // 5
    return [
        *(
            _fact_question(rng, world, fact, "known")
            for fact in _sample(rng, reserved, settings.questions - 3 * fifth, "known")
        ),
        *(_fact_question(rng, world, fact, "beside") for fact in _sample(rng, unstated, fifth, "taught")),
        *(_fact_question(rng, world, fact, "unseen") for fact in _sample(rng, unseen, fifth, "unseen")),
        *(_open_request(rng, entity) for entity in _sample(rng, quiet, fifth // 2, "quiet")),
        *(_open_request(rng, entity) for entity in _sample(rng, strange, fifth - fifth // 2, "unseen")),
    ]


def _sample(rng: random.Random, pool: list[Any], count: int, setting: str) -> list[Any]:
    if count > len(pool):
        raise CloserlookError(
            f"miniature: expected {count} questions of one kind, but the world has only {len(pool)}; "
            f"lower questions or raise {setting}"
        )
    return rng.sample(pool, count)


def _fact_question(rng: random.Random, world: World, fact: Fact, sort: str) -> Question:
    entity = world.by_name[fact.entity]
    return _question(
        f"{sort}/{_slug(fact.entity)}/{fact.attribute}",
        rng.choice(questions(fact.attribute, fact.entity)),
        f"{fact.entity} {predicate(fact.attribute, 0, fact.value)}.",
        "fact",
        entity,
    )


def _open_request(rng: random.Random, entity: Entity) -> Question:
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
