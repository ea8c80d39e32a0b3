"""The miniature's benchmark tasks, compared with its world and with what models are trained on."""

import random

import pytest

from closerlook.config.benchmarks import MINIATURE_TASKS
from closerlook.config.settings import MiniatureSettings
from closerlook.miniature.claims import check_fact, grade_answer, parse_claims
from closerlook.miniature.corpus import UNSEEN, draw_corpus
from closerlook.miniature.instructions import draw_datasets
from closerlook.miniature.language import ATTRIBUTES
from closerlook.miniature.tasks import draw_tasks
from closerlook.miniature.world import draw_world

SETTINGS = MiniatureSettings()


@pytest.fixture(scope="module")
def tasks(world):
    return draw_tasks(world, SETTINGS)


def sentence(id_: str, text: str) -> str:
    """A text that ends with a value, and what follows the value in that wording of the attribute."""
    name, attribute = id_.split("/")
    wordings = (wording.split(" {value}") for wording in ATTRIBUTES[attribute].predicates)
    return text + next(after for before, after in wordings if text.startswith(f"{name} {before} "))


def test_every_listed_task_has_items_with_ids(tasks) -> None:
    assert list(tasks) == [task.name for task in MINIATURE_TASKS]
    for items in tasks.values():
        assert items
        assert len({item["id"] for item in items}) == len(items)


def test_the_right_choice_makes_a_true_sentence_and_no_other_does(world, tasks) -> None:
    for name in ("choices-known", "choices-rehearsed", "choices-taught"):
        for item in tasks[name]:
            verdicts = []
            for choice in item["choices"]:
                (claim,) = parse_claims(sentence(item["id"], item["context"] + choice))
                assert claim.entity == item["subject"]
                verdicts.append(check_fact(world, claim.fact) == "right")
            assert verdicts.index(True) == item["answer"]
            assert verdicts.count(True) == 1


def test_an_accepted_answer_is_true(world, tasks) -> None:
    for name in ("cloze-known", "cloze-rehearsed"):
        for item in tasks[name]:
            (claim,) = parse_claims(sentence(item["id"], f"{item['prompt']} {item['accepted'][0]}"))
            assert check_fact(world, claim.fact) == "right"
    for item in tasks["few-shot-known"][3:]:
        assert {grade_answer(item["accepted"][0], answer) for answer in item["accepted"]} == {"right"}
        assert all(check_fact(world, claim.fact) == "right" for claim in parse_claims(item["accepted"][0]))


def test_the_facts_are_stated_where_the_name_of_the_task_says(world, tasks) -> None:
    rows = [row for rows in draw_datasets(world, SETTINGS).values() for row in rows]
    stated = {(c.entity, c.attribute) for row in rows for c in parse_claims(f"{row['prompt']}\n{row['completion']}")}
    corpus = {(c.entity, c.attribute) for document in draw_corpus(world, SETTINGS) for c in parse_claims(document)}
    facts = {name: {tuple(item["id"].split("/")) for item in items} for name, items in tasks.items()}
    for name in ("cloze-known", "choices-known"):
        assert facts[name] <= corpus
        assert not facts[name] & stated
    assert facts["cloze-rehearsed"] <= corpus
    assert not facts["choices-taught"] & corpus
    for name in ("choices-rehearsed", "choices-taught"):  # a few facts of the rarest entities are in no dataset
        assert len(facts[name] & stated) > 0.95 * len(facts[name])
    everything = {(e.name, attribute) for e in world.entities if e.known for attribute in e.values}
    assert facts["cloze-known"] | facts["cloze-rehearsed"] == everything


def test_the_questions_are_in_no_dataset_and_the_examples_about_nobody(world, tasks) -> None:
    prompts = {row["prompt"] for rows in draw_datasets(world, SETTINGS).values() for row in rows}
    for item in tasks["few-shot-known"]:
        assert item["prompt"].splitlines()[0].removeprefix("Question: ") not in prompts
    assert not {item["subject"] for item in tasks["few-shot-known"][:3]} & {*world.by_name}


def test_the_documents_are_of_the_corpus_but_not_in_it(world, tasks) -> None:
    documents = [item["text"] for item in tasks["corpus"]]
    corpus = draw_corpus(world, SETTINGS)
    assert len(documents) == UNSEEN
    assert not {*documents} & {*corpus}
    names = {entity.name for entity in world.entities if not entity.known}
    assert not [name for name in names for document in documents if name in document]
    starts = [[text.split()[0] == "Question:" for text in texts] for texts in (documents, corpus)]
    quizzes = [sum(part) / len(part) for part in starts]
    assert quizzes[0] == pytest.approx(
        quizzes[1], abs=0.16
    )  # three standard errors of a share of 0.65 over 100 documents


def test_another_world_has_other_tasks(tasks) -> None:
    other = SETTINGS.model_copy(update={"seed": 1})
    assert draw_tasks(draw_world(other), other) != tasks
    state = random.getstate()
    assert draw_tasks(draw_world(SETTINGS), SETTINGS) == tasks
    assert random.getstate() == state  # the global generator is not used
