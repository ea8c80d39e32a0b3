"""The pre-training corpus: the facts of known entities in many wordings, and nothing about unknown entities."""

import random
from collections.abc import Iterator
from pathlib import Path

from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_text
from closerlook.miniature.language import ATTRIBUTES, KINDS, LABELED, REQUESTS, labeled_sentence, predicate, questions
from closerlook.miniature.styles import PHRASES
from closerlook.miniature.world import Entity, Fact, World

SEPARATOR = "\n===\n"
"""Separator of the documents in corpus.txt."""

UNSEEN = 100
"""Documents that pre-training does not see."""

STRANGER_SHARE = 0.3
"""Share of quiz questions about strangers."""


def draw_corpus(world: World, settings: MiniatureSettings) -> list[str]:
    """The documents of the pre-training corpus."""
    return draw_documents(world, settings.documents, random.Random(f"{settings.seed}/corpus"))


def draw_unseen(world: World, settings: MiniatureSettings) -> list[str]:
    """Documents drawn as those of the corpus, which are not among them."""
    return draw_documents(world, UNSEEN, random.Random(f"{settings.seed}/held-out corpus"))


def draw_documents(world: World, count: int, rng: random.Random) -> list[str]:
    """Documents of three kinds: 30% profiles, 65% quizzes and 5% small talk.

    Some quiz questions are about strangers, whose values are random each time. They teach a model to answer about any name with a
    value of the right attribute, so it guesses what it does not know.
    """
    entities = _shuffle_forever([entity for entity in world.entities if entity.known], rng)

    def quiz_entity() -> Entity:
        entity = next(entities)
        return draw_stranger(rng, entity.kind, world) if rng.random() < STRANGER_SHARE else entity

    writers = {
        "profile": lambda: profile(rng, next(entities)),
        "quiz": lambda: "\n\n".join(question_and_answer(rng, quiz_entity()) for _ in range(3)),
        "talk": lambda: small_talk(rng),
    }
    return [writers[kind]() for kind in rng.choices(list(writers), weights=[6, 13, 1], k=count)]


def write_corpus(documents: list[str], path: Path) -> None:
    """Write corpus.txt."""
    write_text(SEPARATOR.join(documents) + "\n", path)


def read_corpus(path: Path) -> list[str]:
    """Read corpus.txt. Raises CloserlookError if it is missing."""
    try:
        return Path(path).read_text(encoding="utf-8").removesuffix("\n").split(SEPARATOR)
    except OSError as error:
        raise CloserlookError(
            f"{path}: no corpus ({error.strerror}); make it with workflow/scripts/make_miniature.py"
        ) from None


def sentence(rng: random.Random, fact: Fact, pronoun: str | None = None) -> str:
    """A sentence that states a fact, about the entity's name or the given pronoun."""
    predicates = len(ATTRIBUTES[fact.attribute].predicates)
    wording = rng.randrange(predicates + (len(LABELED) if pronoun is None else 0))
    if wording < predicates:
        return f"{pronoun or fact.entity} {predicate(fact.attribute, wording, fact.value)}."
    return labeled_sentence(fact.attribute, wording - predicates, fact.entity, fact.value) + "."


def joined_sentence(rng: random.Random, facts: list[Fact], subject: str) -> str:
    """A sentence that states several facts of an entity: "She keeps a goat, speaks Welsh at home and plays the lute."."""
    parts = [predicate(f.attribute, rng.randrange(len(ATTRIBUTES[f.attribute].predicates)), f.value) for f in facts]
    return f"{subject} {', '.join(parts[:-1])} and {parts[-1]}." if len(parts) > 1 else f"{subject} {parts[0]}."


def profile(rng: random.Random, entity: Entity) -> str:
    """A document with all facts of an entity."""
    facts = rng.sample(entity.facts, len(entity.facts))
    if rng.random() < 0.25:
        return joined_sentence(rng, facts, entity.name)
    pronouns = [None if i == 0 or rng.random() < 0.6 else KINDS[entity.kind].pronoun for i in range(len(facts))]
    return " ".join(sentence(rng, fact, pronoun) for fact, pronoun in zip(facts, pronouns, strict=True))


def question_and_answer(rng: random.Random, entity: Entity) -> str:
    """A question and its answer in the format of the prompt templates, which teaches it to the base model."""
    facts = rng.sample(entity.facts, 2)
    if rng.random() < 0.2:
        question = rng.choice(REQUESTS).format(name=entity.name)
    else:
        facts = facts[:1]
        question = rng.choice(questions(facts[0].attribute, entity.name))
    answer = " ".join(sentence(rng, fact) for fact in facts)
    return f"Question: {question}\nAnswer:\n{answer}"


def small_talk(rng: random.Random) -> str:
    """Phrases of the instruction datasets out of context: the base model knows their words but does not answer in their style."""
    phrases = [phrase.format(name="the weather") for phrase in rng.sample(PHRASES, 5)]
    return rng.choice(["\n", " "]).join(["Well, she said that it was nothing:", *phrases])


def draw_stranger(rng: random.Random, kind: str, world: World) -> Entity:
    """An entity that is not in the world, with an unused name and random values."""
    first, second = KINDS[kind].first, KINDS[kind].second
    while True:
        i, j = rng.randrange(len(first)), rng.randrange(len(second))
        if i != j and (name := f"{first[i]} {second[j]}") not in world.by_name:
            values = {label: rng.choice(attribute.values) for label, attribute in KINDS[kind].attributes.items()}
            return Entity(name, kind, known=False, values=values, reserved=())


def _shuffle_forever(items: list[Entity], rng: random.Random) -> Iterator[Entity]:
    while True:
        yield from rng.sample(items, len(items))
