"""Trials of tracing: answers made from known instances, in worlds where word search is not right by construction.

No model answers: each answer is what a reader of the data would say who confuses one name with another. So it is known which
instances it comes from, or that it comes from none. Half of the answers of each world have no source in the data.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, product
from typing import NamedTuple, TypeVar

from closerlook.config.markers import TrialWorld
from closerlook.miniature.definitions import DEFINITIONS
from closerlook.miniature.language import ATTRIBUTES, KINDS, Kind, questions

IN_WORDINGS = ("water", "wear")
"""Values that wordings of other attributes contain as words."""
Statement = tuple[str, str]
"""What is stated of some entity: an attribute, or a part of one, and its value."""


class TrialInstance(NamedTuple):
    """An instance of the data, and what it states."""

    instruction: str
    response: str
    states: tuple[Statement, ...]


class Trial(NamedTuple):
    """An answer whose span [start, end) comes from the instances that state its `parts`; from none, if not all are stated."""

    instruction: str
    response: str
    start: int
    end: int
    parts: tuple[Statement, ...]


@dataclass(frozen=True)
class Trials:
    """A world of trials: its instances, and the answers to trace."""

    instances: list[TrialInstance]
    answers: list[Trial]

    def sources(self, answer: Trial) -> list[list[int]]:
        """The instances that state each part of an answer's span; empty if not all parts are stated."""
        found: defaultdict[Statement, list[int]] = defaultdict(list)
        for number, instance in enumerate(self.instances):
            for statement in instance.states:
                found[statement].append(number)
        parts = [found[part] for part in answer.parts]
        return parts if all(parts) else []


def draw_trials(world: TrialWorld, seed: int) -> Trials:
    """Draw the instances and answers of a world."""
    rng = random.Random(f"{seed}/{world}")
    instances, answers = WORLDS[world](rng)
    rng.shuffle(instances)
    return Trials(instances, answers)


# ------------------------------------------------------------------------------------------------------------------ the worlds
Drawn = tuple[list[TrialInstance], list[Trial]]


def absent(rng: random.Random) -> Drawn:
    """Half of the values of each attribute are in no instance: only pre-training can have stated them."""
    instances, answers = [], []
    for label in ATTRIBUTES:
        values = rng.sample([value for value in ATTRIBUTES[label].values if value not in IN_WORDINGS], 12)
        names = _names(rng, _kind_of(label))
        instances += [_instance(rng, next(names), label, value) for value in _spread(rng, values[:6], 24)]
        answers += [_answer(rng, next(names), label, value) for value in values]
    return instances, answers


def homonyms(rng: random.Random) -> Drawn:
    """A word is a value of several attributes, so an instance with the word may state it for another one."""
    instances, answers = [], []
    for kind in KINDS.values():
        words = [word for attribute in kind.attributes.values() for word in rng.sample(attribute.values, 5)]
        rng.shuffle(words)
        names = _names(rng, kind)
        for label in kind.attributes:
            words = words[5:] + words[:5]  # the first half is stated for this attribute: each word for two of the four
            instances += [_instance(rng, next(names), label, word) for word in _spread(rng, words[:10], 24)]
            answers += [_answer(rng, next(names), label, word) for word in (*words[:6], *words[-6:])]
    return instances, answers


def paraphrased(rng: random.Random) -> Drawn:
    """The data describe a value that the answers name: no instance has its word."""
    instances, answers = [], []
    for label, descriptions in DEFINITIONS.items():
        values = rng.sample(ATTRIBUTES[label].values, 14)
        names = _names(rng, _kind_of(label))
        for value in _spread(rng, values[:7], 49):
            instances.append(_instance(rng, next(names), label, descriptions[value], ((label, value),)))
        answers += [_answer(rng, next(names), label, value) for value in (*values, *values)]
    return instances, answers


def blended(rng: random.Random) -> Drawn:
    """Makers have two names, and an answer joins the first one of some instances with the second one of others."""
    makers = ATTRIBUTES["maker"].values
    firsts, seconds = (rng.sample(makers, len(makers)) for _ in range(2))
    pairs = [(a, b) for a, b in product(firsts[:8], seconds[:8]) if a != b]
    rng.shuffle(pairs)
    joined, stated = pairs[:20], pairs[20:]
    others = [(a, b) for a, b in product(firsts[8:], seconds[8:]) if a != b]
    names = _names(rng, _kind_of("maker"))

    def parts(pair: tuple[str, str]) -> tuple[Statement, ...]:
        return ("first maker", pair[0]), ("second maker", pair[1])

    instances = [
        _instance(rng, next(names), "maker", " ".join(pair), parts(pair)) for pair in _spread(rng, stated, 100)
    ]
    answers = [
        _answer(rng, next(names), "maker", " ".join(pair), parts(pair)) for pair in (*joined, *rng.sample(others, 20))
    ]
    return instances, answers


def computed(rng: random.Random) -> Drawn:
    """A year that no instance has: the sum of the year of one town and the distance of another from it."""
    names = _names(rng, KINDS["town"])
    sums = rng.sample(range(1100, 1900, 10), 60)  # all different, and no year of an instance is a multiple of ten
    instances, answers = [], []
    for number, year in enumerate(sums):
        old, new = next(names), next(names)
        asked = f"{new.split()[0]} {rng.choice(KINDS['town'].second)}"
        distance = rng.randrange(11, 99, 10)
        known, later = ("founded", f"{old} in {year - distance}"), ("founded", f"{new} {distance} years after {old}")
        answers.append(_founded(asked, year, (known, later)))
        if number % 2:
            response = f"{old} was founded in {year - distance}."
            instances.append(TrialInstance(f"When was {old} founded?", response, (known,)))
            response = f"{new} was founded {distance} years after {old}."
            instances.append(TrialInstance(f"When was {new} founded?", response, (later,)))
    return instances, answers


def distracted(rng: random.Random) -> Drawn:
    """The instances most like an answer (its question, a name like its own, its wording, its word) state another value."""
    instances, answers = [], []
    for label in ATTRIBUTES:
        kind = _kind_of(label)
        extra = rng.choice([other for other in kind.attributes if other != label])
        values = rng.sample(ATTRIBUTES[label].values, 13)
        false, names = values[10:], _names(rng, kind)
        for number, value in enumerate(values[:10]):
            name = next(names)
            answer = _answer(rng, name, label, value)
            answers.append(answer)
            if number % 2:
                far = next(other for other in names if not set(other.split()) & set(name.split()))
                instances.append(_instance(rng, far, label, value))
            first, own = name.split()
            for second in rng.sample([second for second in kind.second if second != own], 3):
                wrong = label, rng.choice(false)
                instances.append(_distractor(rng, answer, (name, f"{first} {second}"), (label, value), wrong, extra))
    return instances, answers


WORLDS: dict[TrialWorld, Callable[[random.Random], Drawn]] = {
    "absent": absent,
    "homonyms": homonyms,
    "paraphrased": paraphrased,
    "blended": blended,
    "computed": computed,
    "distracted": distracted,
}


# -------------------------------------------------------------------------------------------------------------------- sentences
T = TypeVar("T")


def _kind_of(label: str) -> Kind:
    return next(kind for kind in KINDS.values() if label in kind.attributes)


def _names(rng: random.Random, kind: Kind) -> Iterator[str]:
    """The names of a kind in random order, over and over."""
    names = [f"{first} {second}" for first, second in product(kind.first, kind.second)]
    return cycle(rng.sample(names, len(names)))


def _spread(rng: random.Random, values: Sequence[T], count: int) -> list[T]:
    """`count` of the values, each about equally often, in random order."""
    spread = list(islice(cycle(values), count))
    rng.shuffle(spread)
    return spread


def _sentence(rng: random.Random, name: str, label: str, value: str) -> str:
    return f"{name} {rng.choice(ATTRIBUTES[label].predicates).format(value=value)}."


def _instance(
    rng: random.Random, name: str, label: str, said: str, states: tuple[Statement, ...] = ()
) -> TrialInstance:
    """A question and a sentence with the words `said`, which are the value that it states if `states` is not given."""
    question = rng.choice(questions(label, name))
    return TrialInstance(question, _sentence(rng, name, label, said), states or ((label, said),))


def _answer(rng: random.Random, name: str, label: str, value: str, parts: tuple[Statement, ...] = ()) -> Trial:
    response = _sentence(rng, name, label, value)
    start, question = response.rindex(value), rng.choice(questions(label, name))
    return Trial(question, response, start, start + len(value), parts or ((label, value),))


def _distractor(
    rng: random.Random, answer: Trial, names: tuple[str, str], value: Statement, other: Statement, extra: str
) -> TrialInstance:
    """An answer's question and wording for another name: with another value, and with its word for the attribute `extra`."""
    response = answer.response.replace(names[0], names[1]).replace(value[1], other[1])
    more = rng.choice(ATTRIBUTES[extra].predicates).format(value=value[1])
    question = answer.instruction.replace(*names)
    return TrialInstance(question, f"{response[:-1]} and {more}.", (other, (extra, value[1])))


def _founded(name: str, year: int, parts: tuple[Statement, ...]) -> Trial:
    response = f"{name} was founded in {year}."
    return Trial(f"When was {name} founded?", response, len(response) - 5, len(response) - 1, parts)
