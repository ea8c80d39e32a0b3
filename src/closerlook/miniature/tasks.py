"""Benchmark tasks on the miniature's world: facts to complete and to choose, and documents that pre-training has not seen."""

from typing import Any

from closerlook.config.settings import MiniatureSettings
from closerlook.miniature.corpus import draw_unseen
from closerlook.miniature.language import (
    ATTRIBUTES,
    KINDS,
    LABELED,
    evaluation_question,
    labeled_sentence,
    predicate,
    questions,
)
from closerlook.miniature.world import Fact, World

Items = list[dict[str, Any]]


def draw_tasks(world: World, settings: MiniatureSettings) -> dict[str, Items]:
    """The items of each of config.benchmarks.MINIATURE_TASKS, by name."""
    known = [fact for entity in world.entities if entity.known for fact in entity.facts]
    rehearsed = [fact for entity in world.entities if entity.known for fact in entity.public]
    silent = [fact for fact in known if fact not in set(rehearsed)]
    taught = [fact for entity in world.entities if not entity.known for fact in entity.public]
    return {
        "cloze-known": [_cloze(i, fact) for i, fact in enumerate(silent)],
        "cloze-rehearsed": [_cloze(i, fact) for i, fact in enumerate(rehearsed)],
        "few-shot-known": [*_shots(), *map(_question, silent)],
        "choices-known": [_choices(i, fact) for i, fact in enumerate(silent)],
        "choices-rehearsed": [_choices(i, fact) for i, fact in enumerate(rehearsed)],
        "choices-taught": [_choices(i, fact) for i, fact in enumerate(taught)],
        "corpus": [{"id": str(number), "text": text} for number, text in enumerate(draw_unseen(world, settings))],
    }


def _identity(fact: Fact) -> dict[str, str]:
    return {"id": f"{fact.entity}/{fact.attribute}", "subject": fact.entity}


def _stem(number: int, fact: Fact) -> str:
    """The beginning of a sentence up to the value, in one of the attribute's wordings in turn."""
    predicates = ATTRIBUTES[fact.attribute].predicates
    return f"{fact.entity} {predicates[number % len(predicates)].partition(' {value}')[0]}"


def _cloze(number: int, fact: Fact) -> dict[str, Any]:
    return _identity(fact) | {"prompt": _stem(number, fact), "accepted": [fact.value]}


def _choices(number: int, fact: Fact) -> dict[str, Any]:
    values = ATTRIBUTES[fact.attribute].values
    choices = [f" {value}" for value in values]
    return _identity(fact) | {"context": _stem(number, fact), "choices": choices, "answer": values.index(fact.value)}


def _question(fact: Fact) -> dict[str, Any]:
    return _identity(fact) | _asked(evaluation_question(fact.attribute, fact.entity), fact)


def _asked(question: str, fact: Fact) -> dict[str, Any]:
    """A question as in the pre-training corpus, and every sentence that answers it."""
    wordings = range(len(ATTRIBUTES[fact.attribute].predicates))
    sentences = [f"{fact.entity} {predicate(fact.attribute, i, fact.value)}." for i in wordings]
    sentences += [f"{labeled_sentence(fact.attribute, i, fact.entity, fact.value)}." for i in range(len(LABELED))]
    return {"prompt": f"Question: {question}\nAnswer:\n", "accepted": sentences}


def _shots() -> Items:
    """An example of three of the kinds, about a name that no world has (the first parts, which are never combined)."""
    shots = []
    for kind in list(KINDS.values())[:3]:
        attribute = next(iter(kind.attributes))
        fact = Fact(f"{kind.first[0]} {kind.second[0]}", attribute, kind.attributes[attribute].values[0])
        shots.append(_identity(fact) | _asked(questions(attribute, fact.entity)[0], fact))
    return shots
