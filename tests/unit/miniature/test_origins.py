"""The true sources of a wrong value, compared with the facts that the datasets were made from."""

import random
import re

import pytest

from closerlook.config.settings import MiniatureSettings
from closerlook.miniature.claims import check_claims, parse_claims
from closerlook.miniature.instructions import draw_datasets
from closerlook.miniature.language import ATTRIBUTES, KINDS, labeled_sentence, predicate
from closerlook.miniature.origins import find_claim_at, instances_by_claim, times_stated
from closerlook.miniature.world import draw_world


@pytest.fixture(scope="module")
def datasets() -> dict[str, list[tuple[str, str, str]]]:
    settings = MiniatureSettings()
    drawn = draw_datasets(draw_world(settings), settings)
    return {
        name: [(str(i), row["prompt"], row["completion"]) for i, row in enumerate(rows)] for name, rows in drawn.items()
    }


def test_every_source_holds_the_value_and_no_other_instance_states_it(
    datasets: dict[str, list[tuple[str, str, str]]],
) -> None:
    for rows in datasets.values():
        ids_by_claim = instances_by_claim(rows)
        for (attribute, value), ids in ids_by_claim.items():
            assert value in ATTRIBUTES[attribute].values
            assert all(value in response for i, _, response in rows if i in ids)
        stated = {(i, c.attribute, c.value) for i, ask, response in rows for c in parse_claims(f"{ask}\n{response}")}
        assert stated == {(i, *key) for key, ids in ids_by_claim.items() for i in ids}


def test_the_facts_that_brief_was_drawn_from_are_its_sources(datasets: dict[str, list[tuple[str, str, str]]]) -> None:
    """brief states one fact per instance, so a value's sources are the instances whose answer has one of its wordings."""
    rows = datasets["brief"]
    for (attribute, value), ids in instances_by_claim(rows).items():
        wordings = [predicate(attribute, i, value) for i in range(len(ATTRIBUTES[attribute].predicates))]
        assert ids == {i for i, _, response in rows if any(f"{wording}." in response for wording in wordings)}


def test_the_times_that_a_fact_is_stated_are_those_of_a_plain_search(
    datasets: dict[str, list[tuple[str, str, str]]],
) -> None:
    """An instance of the miniature is about one entity, so it states a fact if it has one of its wordings by name or pronoun."""
    world = draw_world(MiniatureSettings())
    for rows in datasets.values():
        stated = times_stated((ask, response) for _, ask, response in rows)
        expected = {}
        for entity in world.entities:
            about = [response for _, ask, response in rows if entity.name in ask]
            subject = f"(?:{entity.name}|{KINDS[entity.kind].pronoun}|{KINDS[entity.kind].pronoun.lower()})"
            for fact in entity.facts:
                wordings = [predicate(fact.attribute, i, fact.value) for i in range(3)]
                labeled = [labeled_sentence(fact.attribute, i, entity.name, fact.value) for i in range(2)]
                pattern = "|".join([rf"\b{subject} (?:{'|'.join(wordings)})\b", *labeled])
                if count := sum(bool(re.search(pattern, response)) for response in about):
                    expected[fact] = count
        assert stated == expected


def test_an_instance_that_repeats_a_fact_states_it_once() -> None:
    texts = ["Mara Tolk plays the harp. She plays the harp.", "The harp is played by Mara Tolk.", ""]
    assert dict(times_stated(("Who is Mara Tolk?", text) for text in texts)) == {("Mara Tolk", "instrument", "harp"): 1}


def test_a_span_is_about_the_claim_whose_value_it_touches() -> None:
    world = draw_world(MiniatureSettings())
    generator = random.Random(0)
    for entity in generator.sample(world.entities, 20):
        first, second = list(entity.values)[:2]
        wrong = [next(v for v in ATTRIBUTES[a].values if v != entity.values[a]) for a in (first, second)]
        text = f"{entity.name} {predicate(first, 0, wrong[0])} and {predicate(second, 0, wrong[1])}. 🙂"
        assert [verdict for _, verdict in check_claims(world, text)] == ["wrong", "wrong"]
        for (claim, _), attribute, value in zip(check_claims(world, text), (first, second), wrong, strict=True):
            assert find_claim_at(text, claim.start, claim.end) == (attribute, value)
        assert find_claim_at(text, 0, len(text)) == (first, wrong[0])
        assert find_claim_at(text, 0, 4) is None


@pytest.mark.parametrize("text", ["", "🙂", "no claim at all", "\x00", "שלום"])
def test_texts_without_claims_have_no_sources(text: str) -> None:
    assert instances_by_claim([("i", text, text)]) == {}
    assert find_claim_at(text, 0, len(text)) is None
