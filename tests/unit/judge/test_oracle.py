"""The miniature's judge follows its documented rules."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.judge.aspects import ASPECTS, Case
from closerlook.judge.oracle import VERSION, make_oracle_judge, verdicts
from closerlook.miniature.claims import parse_claims
from closerlook.miniature.language import ATTRIBUTES, predicate
from closerlook.miniature.questions import draw_questions
from closerlook.miniature.world import draw_world

SETTINGS = MiniatureSettings()
WORLD = draw_world(SETTINGS)
QUESTIONS = draw_questions(WORLD, SETTINGS)
FACT = next(q for q in QUESTIONS if q["task_types"] == ["fact"])
OPEN = next(q for q in QUESTIONS if q["task_types"] == ["describe"])
OTHER = next(e for e in WORLD.entities if e.name not in OPEN["reference"] and e.name not in FACT["reference"])


def scores(question, response):
    found = verdicts(WORLD, Case(question["id"], question["instruction"], response, question["reference"]))
    assert [verdict.aspect for verdict in found] == list(ASPECTS)
    return {verdict.aspect: verdict.score for verdict in found}


def states(fact, value=None):
    return f"{fact.entity} {predicate(fact.attribute, 0, value or fact.value)}."


def wrong(fact):
    return next(value for value in ATTRIBUTES[fact.attribute].values if value != fact.value)


def facts(question):
    return [claim.fact for claim in parse_claims(question["reference"])]


def beside(question):
    """A true fact about the entity that the question does not ask for."""
    asked = facts(question)[0]
    return next(fact for fact in WORLD.by_name[asked.entity].facts if fact != asked)


def test_a_question_for_one_fact():
    (fact,) = facts(FACT)
    right = {"helpfulness": 5, "clarity": 5, "factuality": 5, "depth": 2, "engagement": 2}
    assert scores(FACT, states(fact)) == right
    assert scores(FACT, states(fact, wrong(fact))) == right | {"helpfulness": 1, "factuality": 1}
    assert scores(FACT, states(beside(FACT))) == right | {"helpfulness": 2}
    both = f"{states(fact)} {states(beside(FACT))}"
    assert scores(FACT, both) == right | {"depth": 3, "engagement": 3}
    assert scores(FACT, states(OTHER.facts[0])) == right | {"helpfulness": 1, "depth": 1, "engagement": 1}


def test_an_open_request():
    all_of_it = facts(OPEN)
    assert scores(OPEN, OPEN["reference"]) == {
        "helpfulness": 5,
        "clarity": 5,
        "factuality": 5,
        "depth": 5,
        "engagement": 3,
    }
    half = all_of_it[: len(all_of_it) // 2]
    assert scores(OPEN, " ".join(map(states, half)))["helpfulness"] == 1 + 4 * len(half) // len(all_of_it)
    lies = " ".join(states(fact, wrong(fact)) for fact in all_of_it)
    assert scores(OPEN, lies) == {"helpfulness": 1, "clarity": 5, "factuality": 1, "depth": 5, "engagement": 3}


@pytest.mark.parametrize("response", ["", "  \n", "..."])
def test_nothing_said(response):
    assert scores(FACT, response) == {"helpfulness": 1, "clarity": 1, "factuality": None, "depth": 1, "engagement": 1}


def test_clarity_and_engagement():
    (fact,) = facts(FACT)
    said = states(fact)
    assert scores(FACT, said.rstrip("."))["clarity"] == 4
    assert scores(FACT, f"{said} {said}")["clarity"] == 4
    assert scores(FACT, " ".join([said] * 9))["clarity"] == 3
    assert scores(FACT, f"{said} {states(fact, wrong(fact))}")["clarity"] == 4
    assert scores(FACT, f"{said} {states(fact, wrong(fact))} {said} {said} And")["clarity"] == 1
    assert scores(FACT, f"Great question! {said} I hope that this helps you!")["engagement"] == 5


def test_the_mean_of_the_references_is_the_best_score():
    cases = [Case(q["id"], q["instruction"], q["reference"], q["reference"]) for q in QUESTIONS]
    told = []
    judged = make_oracle_judge(WORLD)(cases, told.append)
    assert told == judged
    assert {one.judge for one in judged} == {VERSION}
    assert {
        v.score for one in judged for v in one.verdicts if v.aspect in ("helpfulness", "clarity", "factuality")
    } == {5}


@pytest.mark.parametrize("reference", [None, "", "Paris is the capital of France."])
def test_other_evalsets_are_refused(reference):
    with pytest.raises(CloserlookError, match="judges evalsets of the miniature only"):
        verdicts(WORLD, Case("7", "x", "y", reference))


_sentences = [states(fact, value) for e in WORLD.entities[:6] for fact in e.facts for value in (None, wrong(fact))]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(_sentences), max_size=6), st.text(max_size=20), st.integers(0, len(QUESTIONS) - 1))
def test_any_response_is_judged_and_truth_never_costs_factuality(said, noise, number):
    question = QUESTIONS[number]
    before = scores(question, " ".join([noise, *said]))
    assert all(score is None or 1 <= score <= 5 for score in before.values())
    rng = random.Random(number)
    truth = states(rng.choice(WORLD.entities[0].facts))
    after = scores(question, " ".join([noise, *said, truth]))
    assert after["factuality"] >= (before["factuality"] or 1)
