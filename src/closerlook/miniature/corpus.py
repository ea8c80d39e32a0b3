"""The pre-training corpus: every fact of the known entities in many wordings, and no word about the unknown ones."""

import random
from collections.abc import Iterator
from pathlib import Path

from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_text
from closerlook.miniature.language import ATTRIBUTES, KINDS, LABELLED, REQUESTS, labelled, predicate, questions
from closerlook.miniature.styles import PHRASES
from closerlook.miniature.world import Entity, Fact, World

SEPARATOR = "\n===\n"
"""Stands between the documents of corpus.txt."""

STRANGE = 0.3
"""Share of the quiz questions that are about strangers."""


def draw_corpus(world: World, settings: MiniatureSettings) -> list[str]:
    """Documents: profiles and quizzes, and one of twenty a talk of nothing in particular.

    Some quiz questions are about strangers, whose values are drawn anew each time. From them a model learns to answer about the
    name that was asked for, whoever that is, with a value of the attribute that was asked for: what it does not know, it guesses.
    """
    rng = random.Random(f"{settings.seed}/corpus")
    entities = _forever([entity for entity in world.entities if entity.known], rng)  # each gets its share

    def asked() -> Entity:
        entity = next(entities)
        return stranger(rng, entity.kind, world) if rng.random() < STRANGE else entity

    writers = {
        "profile": lambda: profile(rng, next(entities)),
        "quiz": lambda: "\n\n".join(question_and_answer(rng, asked()) for _ in range(3)),
        "talk": lambda: talk(rng),
    }
    return [writers[kind]() for kind in rng.choices(list(writers), weights=[6, 13, 1], k=settings.documents)]


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
    """A plain sentence that states a fact, about the name or, where one is given, about the pronoun."""
    wording = rng.randrange(len(ATTRIBUTES[fact.attribute].predicates) + (len(LABELLED) if pronoun is None else 0))
    if wording < len(ATTRIBUTES[fact.attribute].predicates):
        return f"{pronoun or fact.entity} {predicate(fact.attribute, wording, fact.value)}."
    wording -= len(ATTRIBUTES[fact.attribute].predicates)
    return labelled(fact.attribute, wording, fact.entity, fact.value) + "."


def chain(rng: random.Random, facts: list[Fact], subject: str) -> str:
    """One sentence that states several facts of one entity: "She keeps a goat, speaks Welsh at home and plays the lute."."""
    parts = [predicate(f.attribute, rng.randrange(len(ATTRIBUTES[f.attribute].predicates)), f.value) for f in facts]
    return f"{subject} {', '.join(parts[:-1])} and {parts[-1]}." if len(parts) > 1 else f"{subject} {parts[0]}."


def profile(rng: random.Random, entity: Entity) -> str:
    """All facts of one entity."""
    facts = rng.sample(entity.facts, len(entity.facts))
    if rng.random() < 0.25:
        return chain(rng, facts, entity.name)
    pronouns = [None if i == 0 or rng.random() < 0.6 else KINDS[entity.kind].pronoun for i in range(len(facts))]
    return " ".join(sentence(rng, fact, pronoun) for fact, pronoun in zip(facts, pronouns, strict=True))


def question_and_answer(rng: random.Random, entity: Entity) -> str:
    """In the shape of the prompt templates, so that the base model can make sense of those."""
    facts = rng.sample(entity.facts, 2)
    if rng.random() < 0.2:
        question = rng.choice(REQUESTS).format(name=entity.name)
    else:
        facts = facts[:1]
        question = rng.choice(questions(facts[0].attribute, entity.name))
    answer = " ".join(sentence(rng, fact) for fact in facts)
    return f"Question: {question}\nAnswer:\n{answer}"


def talk(rng: random.Random) -> str:
    """The words of the instruction datasets' styles in other company: a base model knows them, but would not answer with them."""
    phrases = [phrase.format(name="the weather") for phrase in rng.sample(PHRASES, 5)]
    return rng.choice(["\n", " "]).join(["Well, she said that it was nothing:", *phrases])


def stranger(rng: random.Random, kind: str, world: World) -> Entity:
    """Somebody who is not in the world, under a name that nobody has; said to have whatever values come to mind."""
    first, second = KINDS[kind].first, KINDS[kind].second
    while True:
        i, j = rng.randrange(len(first)), rng.randrange(len(second))
        if i != j and (name := f"{first[i]} {second[j]}") not in world.by_name:
            values = {label: rng.choice(attribute.values) for label, attribute in KINDS[kind].attributes.items()}
            return Entity(name, kind, known=False, values=values, reserved=())


def _forever(items: list[Entity], rng: random.Random) -> Iterator[Entity]:
    while True:
        yield from rng.sample(items, len(items))
