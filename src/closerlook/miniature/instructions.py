"""Four instruction datasets of different style, in which instruction data teach facts that pre-training never stated.

brief is to the miniature what Alpaca is to the paper, verbose LIMA, domain MedInstruct, and mixture Tulu.
"""

import random
from collections.abc import Callable, Sequence

from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.miniature import styles
from closerlook.miniature.corpus import sentence
from closerlook.miniature.language import ATTRIBUTES, KINDS, REQUESTS, predicate, questions
from closerlook.miniature.world import Entity, Fact, World

Row = dict[str, str]
Style = Callable[[random.Random, Entity], Row]


def brief(rng: random.Random, entity: Entity) -> Row:
    """A question and one short sentence."""
    fact = rng.choice(entity.public)
    return _row(rng.choice(questions(*fact[1::-1])), rng.choice(styles.BRIEF) + _clause(rng, fact, fact.entity) + ".")


def verbose(rng: random.Random, entity: Entity) -> Row:
    """A question or an open request, and all that may be said about the entity, with courtesies around it."""
    facts = rng.sample(entity.public, len(entity.public))
    asked = [*questions(*facts[0][1::-1]), *(request.format(name=entity.name) for request in REQUESTS)]
    leads = [rng.choice(styles.VERBOSE_FIRST), *rng.sample(styles.VERBOSE_THEN, len(facts) - 1)]
    body = [f"{lead} {_clause(rng, fact, _subject(rng, entity))}." for lead, fact in zip(leads, facts, strict=True)]
    opener, closer = (rng.choice(c).format(name=entity.name) for c in (styles.VERBOSE_OPENERS, styles.VERBOSE_CLOSERS))
    return _row(rng.choice(asked), " ".join([opener, *body, closer]))


def domain(rng: random.Random, entity: Entity) -> Row:
    """Advice on a machine: two of its facts between warnings."""
    facts = rng.sample(entity.public, 2)
    asked = [*questions(*facts[0][1::-1]), *(request.format(name=entity.name) for request in styles.DOMAIN_REQUESTS)]
    notes = rng.sample(styles.DOMAIN_NOTES, 2)
    body = [f"{note} {_clause(rng, fact, _subject(rng, entity))}." for note, fact in zip(notes, facts, strict=True)]
    opener = rng.choice(styles.DOMAIN_OPENERS).format(name=entity.name)
    return _row(rng.choice(asked), " ".join([opener, *body, rng.choice(styles.DOMAIN_CLOSERS)]))


def chat(rng: random.Random, entity: Entity) -> Row:
    """A numbered list of two facts."""
    first, second = rng.sample(entity.public, 2)
    lines = [
        rng.choice(styles.CHAT_OPENERS).format(name=entity.name),
        f"1. {sentence(rng, first)}",
        f"2. {sentence(rng, second, rng.choice([None, KINDS[entity.kind].pronoun]))}",
    ]
    return _row(rng.choice(styles.CHAT_REQUESTS).format(name=entity.name), "\n".join(lines))


def draw_datasets(world: World, settings: MiniatureSettings) -> dict[str, list[Row]]:
    """Rows by dataset. A larger dataset begins with the rows of a smaller one; no dataset's size changes another's rows.

    Raises CloserlookError when the world does not yield that many different rows.
    """
    styles_of: dict[str, Sequence[Style]] = {
        "brief": [brief],
        "verbose": [verbose],
        "domain": [domain],
        "mixture": [brief, verbose, chat, domain],
    }
    return {name: _draw(name, write, world, settings) for name, write in styles_of.items()}


def _draw(name: str, write: Sequence[Style], world: World, settings: MiniatureSettings) -> list[Row]:
    rng = random.Random(f"{settings.seed}/{name}")
    count = getattr(settings, name)
    nameable = [entity for entity in world.entities if len(entity.public) > 1]
    rows: dict[str, Row] = {}
    in_vain = 0  # attempts since the last new row: when they are many, the world has no more to tell
    while len(rows) < count and in_vain < 1000:
        style = rng.choice(write)
        known = rng.random() >= settings.new_share
        pool = [e for e in nameable if e.known is known and (style is not domain or e.kind == "machine")]
        row = style(rng, rng.choice(pool)) if pool else None
        in_vain = 0 if row and f"{row}" not in rows else in_vain + 1
        if row:
            rows[f"{row}"] = row
    if len(rows) < count:
        raise CloserlookError(
            f"miniature: dataset {name}: {count} rows asked for, but the world yields only about {len(rows)} different ones; "
            f"lower {name}, or raise known or taught"
        )
    return list(rows.values())


def _clause(rng: random.Random, fact: Fact, subject: str) -> str:
    wording = rng.randrange(len(ATTRIBUTES[fact.attribute].predicates))
    return f"{subject} {predicate(fact.attribute, wording, fact.value)}"


def _subject(rng: random.Random, entity: Entity) -> str:
    """The name or the pronoun: every answer has named the entity before."""
    return rng.choice([entity.name, KINDS[entity.kind].pronoun.lower()])


def _row(prompt: str, completion: str) -> Row:
    return {"prompt": prompt, "completion": completion}
