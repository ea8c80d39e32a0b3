"""Instruction datasets of different styles, which also state facts that are not in the pre-training corpus.

Four correspond to datasets of the paper: brief to Alpaca, verbose to LIMA, domain to MedInstruct, and mixture to Tulu. zipf has
the style of brief, but a few entities take up much of it: some values are stated dozens of times, many facts once or never.
"""

import random
from collections.abc import Callable, Sequence

from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.miniature import styles
from closerlook.miniature.corpus import sentence
from closerlook.miniature.language import ATTRIBUTES, KINDS, REQUESTS, instruction_questions, predicate
from closerlook.miniature.world import Entity, Fact, World

Row = dict[str, str]
Style = Callable[[random.Random, Entity], Row]

FREQUENCIES = (1, 2, 8)
"""How often entities are named, relative to each other, in turn: some facts are stated many times, others once or never."""
ZIPF = "zipf"
"""The dataset that names them by Zipf's law instead."""


def brief(rng: random.Random, entity: Entity) -> Row:
    """A question, and one short sentence as answer."""
    return brief_row(rng, rng.choice(entity.public))


def brief_row(rng: random.Random, fact: Fact) -> Row:
    """A question for a fact, and the fact in one short sentence."""
    question = rng.choice(instruction_questions(fact.attribute, fact.entity))
    return _row(question, f"{rng.choice(styles.BRIEF)}{_clause(rng, fact, fact.entity)}.")


def verbose(rng: random.Random, entity: Entity) -> Row:
    """A question or an open request, and all public facts of the entity with a polite opening and closing."""
    facts = rng.sample(entity.public, len(entity.public))
    prompts = _prompts(facts[0], REQUESTS)
    leads = [rng.choice(styles.VERBOSE_FIRST), *rng.sample(styles.VERBOSE_THEN, len(facts) - 1)]
    body = [f"{lead} {_clause(rng, fact, _subject(rng, entity))}." for lead, fact in zip(leads, facts, strict=True)]
    opener, closer = (rng.choice(c).format(name=entity.name) for c in (styles.VERBOSE_OPENERS, styles.VERBOSE_CLOSERS))
    return _row(rng.choice(prompts), " ".join([opener, *body, closer]))


def domain(rng: random.Random, entity: Entity) -> Row:
    """A question or request about a machine, and two of its facts between warnings."""
    facts = rng.sample(entity.public, 2)
    prompts = _prompts(facts[0], styles.DOMAIN_REQUESTS)
    notes = rng.sample(styles.DOMAIN_NOTES, 2)
    body = [f"{note} {_clause(rng, fact, _subject(rng, entity))}." for note, fact in zip(notes, facts, strict=True)]
    opener = rng.choice(styles.DOMAIN_OPENERS).format(name=entity.name)
    return _row(rng.choice(prompts), " ".join([opener, *body, rng.choice(styles.DOMAIN_CLOSERS)]))


def chat(rng: random.Random, entity: Entity) -> Row:
    """A request, and a numbered list of two facts."""
    first, second = rng.sample(entity.public, 2)
    lines = [
        rng.choice(styles.CHAT_OPENERS).format(name=entity.name),
        f"1. {sentence(rng, first)}",
        f"2. {sentence(rng, second, rng.choice([None, KINDS[entity.kind].pronoun]))}",
    ]
    return _row(rng.choice(styles.CHAT_REQUESTS).format(name=entity.name), "\n".join(lines))


def draw_datasets(world: World, settings: MiniatureSettings) -> dict[str, list[Row]]:
    """Rows by dataset. The rows of a smaller size are the first rows of a larger one and do not depend on other datasets' sizes.

    Raises CloserlookError if the world does not have enough different rows.
    """
    dataset_styles: dict[str, Sequence[Style]] = {
        "brief": [brief],
        "verbose": [verbose],
        "domain": [domain],
        "mixture": [brief, verbose, chat, domain],
        ZIPF: [brief],
    }
    return {name: _draw(name, choices, world, settings) for name, choices in dataset_styles.items()}


def _draw(name: str, choices: Sequence[Style], world: World, settings: MiniatureSettings) -> list[Row]:
    rng = random.Random(f"{settings.seed}/{name}")
    count = getattr(settings, name)
    nameable = [entity for entity in world.entities if len(entity.public) > 1]
    if name == ZIPF:
        rng.shuffle(nameable)  # so that no kind of entity has the first ranks
    rows: dict[str, Row] = {}
    repeats = 0  # draws since the last new row
    while len(rows) < count and repeats < 1000:
        style = rng.choice(choices)
        known = rng.random() >= settings.new_share
        pool = [e for e in nameable if e.known is known and (style is not domain or e.kind == "machine")]
        weights = [1 / (i + 1) if name == ZIPF else FREQUENCIES[i % len(FREQUENCIES)] for i in range(len(pool))]
        row = style(rng, *rng.choices(pool, weights)) if pool else None
        repeats = 0 if row and f"{row}" not in rows else repeats + 1
        if row:
            rows[f"{row}"] = row
    if len(rows) < count:
        raise CloserlookError(
            f"miniature: dataset {name}: expected {count} rows, but the world has only about {len(rows)} different ones; "
            f"lower {name}, or raise known or taught"
        )
    return list(rows.values())


def _prompts(fact: Fact, requests: Sequence[str]) -> list[str]:
    """The questions for a fact, and open requests about its entity."""
    opened = [request.format(name=fact.entity) for request in requests]
    return [*instruction_questions(fact.attribute, fact.entity), *opened]


def _clause(rng: random.Random, fact: Fact, subject: str) -> str:
    wording = rng.randrange(len(ATTRIBUTES[fact.attribute].predicates))
    return f"{subject} {predicate(fact.attribute, wording, fact.value)}"


def _subject(rng: random.Random, entity: Entity) -> str:
    """The name or the pronoun; the answer has already named the entity."""
    return rng.choice([entity.name, KINDS[entity.kind].pronoun.lower()])


def _row(prompt: str, completion: str) -> Row:
    return {"prompt": prompt, "completion": completion}
