"""Trials: the sources that they name are those that reading every instance finds, and word search is misled as they say."""

import random
import re
from collections.abc import Callable
from functools import cache
from typing import get_args

import pytest

from closerlook.config.markers import TrialWorld
from closerlook.miniature.claims import parse_claims
from closerlook.miniature.definitions import DEFINITIONS
from closerlook.miniature.language import ATTRIBUTES
from closerlook.miniature.trials import WORLDS, Trial, TrialInstance, Trials, draw_trials

SEEDS = range(3)
EVERY = [(world, seed) for world in get_args(TrialWorld) for seed in SEEDS]


def text_of(instance: TrialInstance) -> str:
    return f"{instance.instruction}\n{instance.response}"


def span_of(answer: Trial) -> str:
    return answer.response[answer.start : answer.end]


parse = cache(parse_claims)


def claimed(trials: Trials, answer: Trial) -> list[list[int]]:
    """Every instance that claims the answer's value for the answer's attribute, by the parser of the oracle."""
    ((attribute, value),) = {(claim.attribute, claim.value) for claim in parse(answer.response)}
    assert value == span_of(answer)
    found = [
        number
        for number, instance in enumerate(trials.instances)
        if any((c.attribute, c.value) == (attribute, value) for c in parse(instance.response))
    ]
    return [found] if found else []


def described(trials: Trials, answer: Trial) -> list[list[int]]:
    ((label, value),) = answer.parts
    found = [n for n, instance in enumerate(trials.instances) if DEFINITIONS[label][value] in instance.response]
    return [found] if found else []


def joined(trials: Trials, answer: Trial) -> list[list[int]]:
    first, second = span_of(answer).split()
    makers = [instance.response.rstrip(".").split()[-2:] for instance in trials.instances]
    parts = [
        [n for n, maker in enumerate(makers) if maker[place] == word] for place, word in enumerate((first, second))
    ]
    return parts if all(parts) else []


def added(trials: Trials, answer: Trial) -> list[list[int]]:
    years = {}
    for number, instance in enumerate(trials.instances):
        if match := re.fullmatch(r"(\w+ \w+) was founded in (\d+)\.", instance.response):
            years[match[1]] = number, int(match[2])
    for number, instance in enumerate(trials.instances):
        match = re.fullmatch(r"\w+ \w+ was founded (\d+) years after (\w+ \w+)\.", instance.response)
        if match and years[match[2]][1] + int(match[1]) == int(span_of(answer)):
            return [[years[match[2]][0]], [number]]
    return []


READERS: dict[str, Callable[[Trials, Trial], list[list[int]]]] = {
    "absent": claimed,
    "homonyms": claimed,
    "paraphrased": described,
    "blended": joined,
    "computed": added,
    "distracted": claimed,
}


@pytest.mark.parametrize(("world", "seed"), EVERY)
def test_sources_are_those_that_reading_every_instance_finds(world: TrialWorld, seed: int) -> None:
    trials = draw_trials(world, seed)
    sources = [trials.sources(answer) for answer in trials.answers]
    assert sources == [READERS[world](trials, answer) for answer in trials.answers]
    assert sum(map(bool, sources)) * 2 == len(sources), "half of the answers have no source"
    texts = {answer.response for answer in trials.answers}
    assert not texts & {instance.response for instance in trials.instances}, "no instance is the answer itself"


@pytest.mark.parametrize("seed", SEEDS)
def test_word_search_is_misled_where_a_world_says_so(seed: int) -> None:
    def with_word(trials: Trials, answer: Trial) -> list[int]:
        word = re.compile(rf"\b{re.escape(span_of(answer))}\b")
        return [n for n, instance in enumerate(trials.instances) if word.search(text_of(instance))]

    absent = draw_trials("absent", seed)
    for answer in absent.answers:
        assert [with_word(absent, answer)] == (absent.sources(answer) or [[]]), "here the word is all"
    for world in ("paraphrased", "blended", "computed"):
        trials = draw_trials(world, seed)
        assert not any(with_word(trials, answer) for answer in trials.answers)
    for world in ("homonyms", "distracted"):
        trials = draw_trials(world, seed)
        assert all(with_word(trials, answer) for answer in trials.answers), "the word is there without a source, too"
    for answer in trials.answers:
        wrong = [trials.instances[n] for n in with_word(trials, answer) if [n] not in trials.sources(answer)]
        first = answer.response.split()[0]
        assert sum(instance.response.startswith(first) for instance in wrong) >= 3, "names like that of the answer"
        assert not any(instance.response.startswith(" ".join(answer.response.split()[:2])) for instance in wrong)


def test_descriptions_do_not_contain_the_word_and_tell_values_apart() -> None:
    for label, descriptions in DEFINITIONS.items():
        assert set(descriptions) == set(ATTRIBUTES[label].values)
        assert len(set(descriptions.values())) == len(descriptions)
        for value, text in descriptions.items():
            assert value not in text.lower().split()


def test_draws_depend_on_seed_and_world_alone() -> None:
    random.seed(1)
    drawn = {(world, seed): draw_trials(world, seed) for world, seed in EVERY}
    random.seed(2)
    assert all(draw_trials(world, seed) == trials for (world, seed), trials in reversed(drawn.items()))
    assert len({str(trials) for trials in drawn.values()}) == len(drawn)
    assert set(WORLDS) == set(get_args(TrialWorld))
