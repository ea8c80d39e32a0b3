"""The evaluation questions, compared with all that models are trained on."""

from collections import Counter

import pytest

from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.miniature.claims import check_fact, parse_claims
from closerlook.miniature.questions import draw_questions

SETTINGS = MiniatureSettings()


def test_no_question_stands_in_a_dataset_and_only_taught_facts_are_stated_there(world, datasets, asked):
    prompts = {row["prompt"] for rows in datasets.values() for row in rows}
    stated = {claim.fact for rows in datasets.values() for row in rows for claim in parse_claims(row["completion"])}
    named = {claim.entity for rows in datasets.values() for row in rows for claim in parse_claims(row["completion"])}
    taught = []
    for question in asked:
        assert question["instruction"] not in prompts
        facts = [claim.fact for claim in parse_claims(question["reference"])]
        assert all(check_fact(world, fact) == "right" for fact in facts)
        if question["id"].startswith("taught"):
            taught.append(facts[0] in stated)
        else:
            assert not stated & {*facts}
        if question["id"].startswith("unseen") or question["task_types"] == ["describe"]:
            assert facts[0].entity not in named
    assert sum(taught) > 0.95 * len(taught)  # a few facts of the rarest entities are in no dataset


def test_the_corpus_names_none_of_the_taught_entities(corpus, asked):
    text = "\n".join(corpus)
    entities = {parse_claims(q["reference"])[0].entity for q in asked if q["topics"][1] != "known"}
    assert not [name for name in entities if name in text]


def test_the_wording_of_a_question_is_asked_in_the_corpus_and_by_datasets_of_other_entities(corpus, datasets, asked):
    """What a tuned model has not met is the question with this name, not its wording."""
    heard = {line.removeprefix("Question: ") for document in corpus for line in document.splitlines()}
    prompts = {row["prompt"] for rows in datasets.values() for row in rows}
    for question in (q for q in asked if q["task_types"] == ["fact"]):
        before, after = question["instruction"].split(parse_claims(question["reference"])[0].entity)
        for texts in (heard, prompts):
            assert any(text.startswith(before) and text.endswith(after) for text in texts)


def test_some_facts_are_stated_often_and_others_once_or_never(datasets, asked):
    brief = [claim.fact for row in datasets["brief"] for claim in parse_claims(row["completion"])]
    times = [brief.count(parse_claims(q["reference"])[0].fact) for q in asked if q["topics"][1] == "taught"]
    groups = [sum(low <= n <= high for n in times) for low, high in ((0, 0), (1, 1), (2, 3), (4, 99))]
    assert min(groups) >= 10, groups  # fewer have intervals as wide as the scale


def test_questions_are_of_every_sort(world, asked):
    assert len(asked) == len({q["id"] for q in asked}) == len({q["instruction"] for q in asked}) == 320
    for question in asked:
        facts = [claim.fact for claim in parse_claims(question["reference"])]
        entity = world.by_name[facts[0].entity]
        assert question["topics"][0] == entity.kind
        assert (question["topics"][1] == "known") == entity.known
        assert question["id"].startswith(f"{question['topics'][1]}/")
        assert question["task_types"] == ["fact"] if len(facts) == 1 else ["describe"]
        assert entity.name in question["instruction"]
    assert Counter((q["task_types"][0], q["topics"][1]) for q in asked) == {
        ("fact", "known"): 80,
        ("fact", "taught"): 120,
        ("fact", "beside"): 40,
        ("fact", "unseen"): 40,
        ("describe", "known"): 20,
        ("describe", "unseen"): 20,
    }


def test_any_number_of_questions_can_be_drawn(world):
    for count in (*range(1, 20), 319, 321):
        asked = draw_questions(world, SETTINGS.model_copy(update={"questions": count}))
        assert len(asked) == len({q["id"] for q in asked}) == count


def test_too_many_questions_name_the_setting(world):
    with pytest.raises(CloserlookError, match="lower questions or raise known"):
        draw_questions(world, SETTINGS.model_copy(update={"questions": 2000}))
