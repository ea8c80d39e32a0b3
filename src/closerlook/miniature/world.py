"""The world of the miniature: entities with one value per attribute. Pre-training states the facts of known entities."""

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
    """A statement that `entity` has `value` for `attribute`, true or false."""

    entity: str
    attribute: str
    value: str


@dataclass(frozen=True)
class Entity:
    """An entity of the world."""

    name: str
    kind: str
    known: bool
    """Whether the pre-training corpus states its facts."""
    values: dict[str, str]
    """True values by attribute."""
    reserved: tuple[str, ...]
    """Attributes that no instruction dataset states."""

    @property
    def facts(self) -> list[Fact]:
        """The true facts."""
        return [Fact(self.name, attribute, value) for attribute, value in self.values.items()]

    @property
    def public(self) -> list[Fact]:
        """The facts that instruction datasets may state."""
        return [fact for fact in self.facts if fact.attribute not in self.reserved]


@dataclass(frozen=True)
class World:
    """All entities, in a fixed order."""

    entities: tuple[Entity, ...]

    @cached_property
    def by_name(self) -> dict[str, Entity]:
        """Entities by name."""
        return {entity.name: entity for entity in self.entities}

    def value(self, name: str, attribute: str) -> str | None:
        """The true value; None if there is no such entity or it has no such attribute."""
        entity = self.by_name.get(name)
        return entity.values.get(attribute) if entity else None

    def save(self, path: Path) -> None:
        """Write `world.json`."""
        write_json({"entities": [asdict(entity) for entity in self.entities]}, path)

    @classmethod
    def load(cls, path: Path) -> "World":
        """Read `world.json`. Raises CloserlookError if it is missing or malformed."""
        try:
            rows = json.loads(Path(path).read_text(encoding="utf-8"))["entities"]
            return cls(tuple(Entity(**{**row, "reserved": tuple(row["reserved"])}) for row in rows))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CloserlookError(
                f"{path}: cannot be read as a miniature world ({error}); make it with workflow/scripts/make_miniature.py"
            ) from None


def draw_world(settings: MiniatureSettings) -> World:
    """Draw a world. Raises CloserlookError if there are fewer names than entities."""
    rng = random.Random(f"{settings.seed}/world")
    return World(tuple(entity for name, kind in KINDS.items() for entity in _draw_kind(name, kind, settings, rng)))


def _draw_kind(name: str, kind: Kind, settings: MiniatureSettings, rng: random.Random) -> list[Entity]:
    names = _names(kind, settings, rng)
    columns = {label: _draw_values(attribute.values, len(names), rng) for label, attribute in kind.attributes.items()}
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
    """Names of the entities, known ones first. Known names use each part, so unknown names consist of parts that are known.

    The i-th first part is never combined with the i-th second part: no world has these names, so examples can use them.
    """
    parts = min(len(kind.first), settings.known)
    first, second = kind.first[:parts], kind.second[:parts]
    wanted = settings.known + settings.taught + settings.unseen
    if wanted > parts * (parts - 1):
        raise CloserlookError(
            f"miniature: known + taught + unseen is {wanted} entities per kind, "
            f"but only {parts} x {parts - 1} names consist of the parts that {settings.known} known entities have"
        )
    shift = rng.randrange(1, parts)
    cover = [f"{first[i]} {second[(i + shift) % parts]}" for i in range(parts)]
    rest = [f"{a} {b}" for (i, a), (j, b) in product(enumerate(first), enumerate(second)) if i != j]
    rest = sorted(set(rest) - set(cover))
    rng.shuffle(rest)
    known = cover + rest[: settings.known - parts]
    rng.shuffle(known)
    return (known + rest[settings.known - parts :])[:wanted]


def _draw_values(values: tuple[str, ...], count: int, rng: random.Random) -> list[str]:
    """`count` values in random order; all values occur once before any is repeated."""
    return [value for _ in range(-(-count // len(values))) for value in rng.sample(values, len(values))][:count]
