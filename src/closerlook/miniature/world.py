"""A small world whose truth is known: entities with one value per attribute, some of which pre-training will hear of."""

import json
import random
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import NamedTuple

from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_json
from closerlook.miniature.language import KINDS, Kind


class Fact(NamedTuple):
    """That `entity` has `value` for `attribute`; true only where the world says so."""

    entity: str
    attribute: str
    value: str


@dataclass(frozen=True)
class Entity:
    """One thing of the world."""

    name: str
    kind: str
    known: bool
    """whether the pre-training corpus states its facts"""
    values: dict[str, str]
    """value by attribute"""
    reserved: tuple[str, ...]
    """attributes that no instruction dataset states; the evaluation questions ask for these"""

    @property
    def facts(self) -> list[Fact]:
        """All that is true of it."""
        return [Fact(self.name, attribute, value) for attribute, value in self.values.items()]

    @property
    def public(self) -> list[Fact]:
        """The facts that instruction datasets may state."""
        return [fact for fact in self.facts if fact.attribute not in self.reserved]


@dataclass(frozen=True)
class World:
    """Every entity, in a fixed order."""

    entities: tuple[Entity, ...]

    @cached_property
    def by_name(self) -> dict[str, Entity]:
        """Entities by name."""
        return {entity.name: entity for entity in self.entities}

    def value(self, name: str, attribute: str) -> str | None:
        """The true value, or None where there is no such entity or it has no such attribute."""
        entity = self.by_name.get(name)
        return entity.values.get(attribute) if entity else None

    def save(self, path: Path) -> None:
        """Write `world.json`."""
        write_json({"entities": [asdict(entity) for entity in self.entities]}, path)

    @classmethod
    def load(cls, path: Path) -> "World":
        """Read `world.json`. Raises CloserlookError if it is missing or no world."""
        try:
            rows = json.loads(Path(path).read_text(encoding="utf-8"))["entities"]
            return cls(tuple(Entity(**{**row, "reserved": tuple(row["reserved"])}) for row in rows))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CloserlookError(
                f"{path}: is no miniature world ({error}); make it with workflow/scripts/make_miniature.py"
            ) from None


def draw_world(settings: MiniatureSettings) -> World:
    """Draw the world. Raises CloserlookError when there are fewer names than entities."""
    rng = random.Random(f"{settings.seed}/world")
    return World(tuple(entity for name, kind in KINDS.items() for entity in _draw_kind(name, kind, settings, rng)))


def _draw_kind(name: str, kind: Kind, settings: MiniatureSettings, rng: random.Random) -> list[Entity]:
    names = _names(kind, settings, rng)
    columns = {label: _spread(attribute.values, len(names), rng) for label, attribute in kind.attributes.items()}
    labels = list(kind.attributes)
    entities = []
    for index, entity in enumerate(names):
        known = index < settings.known
        silent = index < settings.quiet or index >= settings.known + settings.taught
        reserved = tuple(labels) if silent else (labels[index % len(labels)],)
        values = {label: column[index] for label, column in columns.items()}
        entities.append(Entity(entity, name, known, values, reserved))
    return entities


def _names(kind: Kind, settings: MiniatureSettings, rng: random.Random) -> list[str]:
    """Known names first. Together they use each part, so pre-training has met the parts of every unknown name too.

    The i-th first part never meets the i-th second part: those names are nobody's, in any world, and free for examples.
    """
    parts = min(len(kind.first), settings.known)
    first, second = kind.first[:parts], kind.second[:parts]
    wanted = settings.known + settings.taught + settings.unseen
    if wanted > parts * (parts - 1):
        raise CloserlookError(
            f"miniature: known + taught + unseen is {wanted} entities per kind, "
            f"but {parts} x {parts - 1} names can be made of the parts that {settings.known} known entities cover"
        )
    shift = rng.randrange(1, parts)
    cover = [f"{first[i]} {second[(i + shift) % parts]}" for i in range(parts)]
    rest = [f"{a} {b}" for (i, a), (j, b) in product(enumerate(first), enumerate(second)) if i != j]
    rest = sorted(set(rest) - set(cover))
    rng.shuffle(rest)
    known = cover + rest[: settings.known - parts]
    rng.shuffle(known)
    return (known + rest[settings.known - parts :])[:wanted]


def _spread(values: tuple[str, ...], count: int, rng: random.Random) -> list[str]:
    """`count` values in random order, each about equally often, and each once before any comes again."""
    return [value for _ in range(-(-count // len(values))) for value in rng.sample(values, len(values))][:count]
