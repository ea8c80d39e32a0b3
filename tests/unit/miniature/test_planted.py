"""Planted values: allocated at random, false, and stated as often as they say and nowhere else."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.config.settings import MiniatureSettings
from closerlook.miniature.claims import check_fact, grade_answer, parse_claims
from closerlook.miniature.origins import times_stated
from closerlook.miniature.planted import EACH, TIMES, draw_planted, plant, planted_questions
from closerlook.miniature.world import draw_world

SETTINGS = MiniatureSettings()


@pytest.fixture(scope="module")
def planted(world):
    return draw_planted(world, SETTINGS)


@pytest.fixture(scope="module")
def rows(datasets, planted):
    return plant(datasets["brief"], planted, SETTINGS)


def test_statements_are_as_many_as_they_say_and_nowhere_else(corpus, datasets, planted, rows):
    stated = times_stated((row["prompt"], row["completion"]) for row in rows)
    assert {fact: stated[fact] for fact, _ in planted} == dict(planted)
    assert rows[: len(datasets["brief"])] == datasets["brief"]
    assert len(rows) == len({f"{row}" for row in rows}) == len(datasets["brief"]) + sum(times for _, times in planted)
    names = {fact.entity for fact, _ in planted}
    assert not names & {
        claim.entity for each in datasets.values() for row in each for claim in parse_claims(row["completion"])
    }
    assert not [name for name in names if any(name in document for document in corpus)]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 20))
def test_half_of_the_entities_have_false_values_each_number_of_times_equally_often(seed, unseen):
    drawn_settings = SETTINGS.model_copy(update={"seed": seed, "unseen": unseen})
    world = draw_world(drawn_settings)
    planted = draw_planted(world, drawn_settings)
    by_entity = defaultdict(list)
    for fact, times in planted:
        assert check_fact(world, fact) == "wrong"
        by_entity[fact.entity].append((fact.attribute, times))
    assert set(by_entity) == {e.name for e in world.entities if not e.known and not e.public}
    for facts in by_entity.values():
        assert len({attribute for attribute, _ in facts}) == EACH
        assert len({times > 0 for _, times in facts}) == 1, "an entity is planted or is not"
    counts = Counter(times for _, times in planted)
    assert counts[0] == EACH * (len(by_entity) - len(by_entity) // 2)
    assert max(counts[times] for times in TIMES) - min(counts[times] for times in TIMES) <= 1


def test_seeds_allocate_differently_and_chance_favors_no_kind(world):
    """Over many draws each entity is planted in half of them, whatever its kind and place."""
    draws = [draw_planted(world, SETTINGS.model_copy(update={"seed": seed})) for seed in range(200)]
    often = Counter(entity for draw in draws for entity in {fact.entity for fact, times in draw if times})
    assert all(70 <= often[fact.entity] <= 130 for fact, _ in draws[0])
    eight = Counter(fact.entity for draw in draws for fact, times in draw if times == 8)
    assert all(25 <= eight[fact.entity] <= 80 for fact, _ in draws[0])  # of 400 values, an eighth


def test_questions_ask_for_both_halves_in_wordings_of_no_instance(world, planted, rows):
    asked = planted_questions(world, planted)
    assert len(asked) == len({row["id"] for row in asked}) == EACH * 48
    assert not {row["instruction"] for row in asked} & {row["prompt"] for row in rows}
    for row, (fact, times) in zip(asked, planted, strict=True):
        assert [claim.fact for claim in parse_claims(row["reference"])] == [fact]
        assert row["topics"] == [world.by_name[fact.entity].kind, str(times)]
        assert grade_answer(row["reference"], f"In short, {row['reference']}") == "right"
