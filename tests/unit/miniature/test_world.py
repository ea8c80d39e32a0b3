import json
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import REPOSITORY
from transformers import AutoTokenizer

from closerlook.config.settings import MiniatureSettings
from closerlook.core.errors import CloserlookError
from closerlook.data.prompts import encode_prompt, encode_response, read_template
from closerlook.miniature.claims import check_fact, parse_claims
from closerlook.miniature.corpus import draw_corpus, read_corpus, write_corpus
from closerlook.miniature.instructions import brief, chat, domain, draw_datasets, verbose
from closerlook.miniature.language import ATTRIBUTES, KINDS
from closerlook.miniature.origins import times_stated
from closerlook.miniature.questions import draw_questions
from closerlook.miniature.tokenizer import make_tokenizer
from closerlook.miniature.world import World, draw_world

SETTINGS = MiniatureSettings()


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


# ---------------------------------------------------------------------------------------------------------------- world


@settings(max_examples=30)
@given(st.integers(0, 10**9), st.integers(4, 40), st.integers(0, 30), st.integers(0, 30))
def test_any_world_has_the_entities_asked_for_or_says_why_not(seed, known, taught, unseen):
    asked = MiniatureSettings(seed=seed, known=known, taught=taught, unseen=unseen, quiet=2)
    parts = min(14, known)
    if known + taught + unseen > parts * (parts - 1):
        with pytest.raises(CloserlookError, match=f"{known + taught + unseen} entities per kind"):
            draw_world(asked)
        return
    world = draw_world(asked)
    assert len(world.by_name) == len(world.entities) == 4 * (known + taught + unseen)
    for name, kind in KINDS.items():
        mine = [e for e in world.entities if e.kind == name]
        assert sum(e.known for e in mine) == known
        assert sum(not e.public for e in mine if e.known) == 2
        assert sum(not e.public for e in mine if not e.known) == unseen
        heard = {part for e in mine if e.known for part in e.name.split()}
        assert {part for e in mine for part in e.name.split()} <= heard  # pre-training has met the parts of each name
        for label, attribute in kind.attributes.items():
            assert all(e.values[label] in attribute.values for e in mine)
            if known >= len(attribute.values):
                assert {e.values[label] for e in mine if e.known} == {*attribute.values}
        nobody = {f"{a} {b}" for a, b in zip(kind.first, kind.second, strict=True)}
        assert not nobody & {e.name for e in mine}


def test_the_world_survives_its_file_and_a_broken_file_is_named(world, tmp_path):
    world.save(tmp_path / "world.json")
    assert World.load(tmp_path / "world.json") == world
    for text in ["", "{}", "[]", '{"entities": [{"name": "x"}]}']:
        (tmp_path / "world.json").write_text(text)
        with pytest.raises(CloserlookError, match=r"world\.json: .*miniature world"):
            World.load(tmp_path / "world.json")
    with pytest.raises(CloserlookError, match="make_miniature"):
        World.load(tmp_path / "absent.json")


# --------------------------------------------------------------------------------------------------------------- corpus


def test_the_corpus_states_every_known_fact_in_many_wordings_and_names_nobody_unknown(world, corpus):
    wordings = {}
    for document in corpus:
        for claim in parse_claims(document):
            assert check_fact(world, claim.fact) in ("right", "unverifiable")  # strangers are in no world
            before = document[: claim.start].rpartition(". ")[2]
            shape = " ".join(word for word in before.split() if word not in claim.entity.split())
            if claim.entity in world.by_name:
                wordings.setdefault(claim.fact, set()).add(shape)
    known = {fact for entity in world.entities if entity.known for fact in entity.facts}
    assert set(wordings) == known
    assert min(map(len, wordings.values())) >= 4
    text = "\n".join(corpus)
    assert not [e.name for e in world.entities if not e.known and e.name in text]


def test_strangers_are_a_small_part_of_what_is_said_and_no_examples_of_the_prompts(world, corpus):
    claims = [claim for document in corpus for claim in parse_claims(document)]
    strange = [claim.entity for claim in claims if claim.entity not in world.by_name]
    assert 0.05 < len(strange) / len(claims) < 0.2
    nobody = {f"{a} {b}" for kind in KINDS.values() for a, b in zip(kind.first, kind.second, strict=True)}
    assert not nobody & {*strange}


def test_each_sentence_of_the_corpus_is_understood(corpus):
    for document in corpus:
        if not document.startswith(("Well", "Question")):
            sentences = document.count(".")
            assert len(parse_claims(document)) >= sentences


def test_the_corpus_file_gives_the_documents_back(corpus, tmp_path):
    write_corpus(corpus, tmp_path / "corpus.txt")
    assert read_corpus(tmp_path / "corpus.txt") == corpus
    with pytest.raises(CloserlookError, match="no corpus"):
        read_corpus(tmp_path / "other.txt")


# ------------------------------------------------------------------------------------------------------------- datasets


@pytest.mark.parametrize(("style", "facts"), [(brief, 1), (verbose, 3), (domain, 2), (chat, 2)])
@given(st.integers())
def test_every_answer_that_a_style_can_give_parses_to_true_public_facts(style, facts, seed):
    world = draw_world(SETTINGS)
    rng = random.Random(seed)
    pool = [e for e in world.entities if len(e.public) == 3 and (style is not domain or e.kind == "machine")]
    entity = rng.choice(pool)
    row = style(rng, entity)
    claims = parse_claims(row["completion"])
    assert len(claims) == facts
    assert {claim.fact for claim in claims} <= {*entity.public}
    assert entity.name in row["prompt"]


def test_datasets_have_their_rows_and_the_share_of_new_facts(world, datasets):
    for name in ("brief", "verbose", "domain", "mixture", "zipf"):
        rows = datasets[name]
        assert len(rows) == getattr(SETTINGS, name)
        assert len({(row["prompt"], row["completion"]) for row in rows}) == len(rows)
        new = [not world.by_name[parse_claims(row["completion"])[0].entity].known for row in rows]
        assert sum(new) / len(new) == pytest.approx(0.5, abs=0.12)  # duplicates thin out the smaller pool
    lengths = {name: sum(len(r["completion"]) for r in rows) / len(rows) for name, rows in datasets.items()}
    assert lengths["verbose"] > 4 * lengths["brief"]


def test_a_dataset_keeps_its_rows_whatever_the_sizes(world, datasets):
    other = draw_datasets(world, SETTINGS.model_copy(update={"brief": 100, "verbose": 500}))
    assert other["brief"] == datasets["brief"][:100]
    assert other["verbose"][:400] == datasets["verbose"]
    assert other["mixture"] == datasets["mixture"]


def test_zipf_states_few_facts_often_and_most_seldom(world, datasets):
    """Rank times frequency is about constant for entities, and no kind of entity has all first ranks."""
    named = Counter(parse_claims(row["completion"])[0].entity for row in datasets["zipf"])
    for known in (True, False):
        ranked = [(name, count) for name, count in named.most_common() if world.by_name[name].known is known]
        counts = [count for _, count in ranked]
        assert counts[0] > 8 * np.median(counts)
        slope = np.polyfit(np.log(np.arange(1, 21)), np.log(counts[:20]), 1)[0]
        assert -1.25 < slope < -0.7, "a log-log line of about -1; rows that repeat another thin out the first ranks"
        assert len({world.by_name[name].kind for name, _ in ranked[:8]}) > 1
    stated = times_stated((row["prompt"], row["completion"]) for row in datasets["zipf"])
    facts = [fact for entity in world.entities if len(entity.public) > 1 for fact in entity.public]
    assert max(stated.values()) > 20
    assert min(Counter(min(stated[fact], 4) for fact in facts).values()) > 20, "0, 1, 2, 3 and more times"


def test_more_rows_than_the_world_yields_are_refused(world):
    with pytest.raises(CloserlookError, match=r"dataset brief: .*100000 rows"):
        draw_datasets(world, SETTINGS.model_copy(update={"brief": 100_000}))


@pytest.mark.parametrize(("share", "known"), [(0.0, True), (1.0, False)])
def test_all_or_none_of_the_facts_can_be_new(world, share, known):
    for rows in draw_datasets(world, SETTINGS.model_copy(update={"new_share": share, "mixture": 300})).values():
        assert {world.by_name[c.entity].known for row in rows for c in parse_claims(row["completion"])} == {known}


# ------------------------------------------------------------------------------------------------------------ tokenizer


def test_all_text_of_the_miniature_is_words_that_pre_training_has_trained(tokenizer, corpus, datasets, asked):
    trained = {token for ids in tokenizer(corpus)["input_ids"] for token in ids} | {tokenizer.eos_token_id}
    template = read_template(REPOSITORY / "config/prompts/miniature.txt")
    shots = read_template(REPOSITORY / "config/prompts/miniature_icl.txt")
    rows = [(row["prompt"], row["completion"]) for rows in datasets.values() for row in rows]
    rows += [(q["instruction"], q["reference"]) for q in asked]
    for prompt, completion in rows:
        for ids in (encode_prompt(tokenizer, template, prompt), encode_prompt(tokenizer, shots, prompt)):
            assert {*ids} <= trained, prompt
        ids = encode_response(tokenizer, completion)
        assert {*ids} <= trained, completion
        assert tokenizer.decode(ids, skip_special_tokens=True) == completion


def test_prompt_and_response_apart_are_the_tokens_of_the_whole(tokenizer, datasets):
    template = read_template(REPOSITORY / "config/prompts/miniature.txt")
    for rows in datasets.values():
        for row in rows[:50]:
            apart = (
                encode_prompt(tokenizer, template, row["prompt"]) + encode_response(tokenizer, row["completion"])[:-1]
            )
            assert apart == tokenizer(template.format(instruction=row["prompt"]) + row["completion"])["input_ids"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_its_tokens(text):
    ids = ROUND_TRIP(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert ROUND_TRIP.decode(ids) == text


ROUND_TRIP = make_tokenizer()


def test_the_saved_tokenizer_is_the_same(tokenizer, corpus, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(corpus[:50])["input_ids"] == tokenizer(corpus[:50])["input_ids"]
    assert again.decode(again("a , b .\n\n'Tis <x>", add_special_tokens=False)["input_ids"]) == "a , b .\n\n'Tis <x>"
    assert (again.bos_token_id, again.eos_token_id, again.pad_token_id) == (0, 1, 2)
    assert again("Mara")["input_ids"][0] == again.bos_token_id


def test_the_examples_in_context_speak_of_nobody():
    text = (REPOSITORY / "config/prompts/miniature_icl.txt").read_text()
    claims = parse_claims(text)
    assert len(claims) == 3
    for seed in range(20):
        world = draw_world(MiniatureSettings(seed=seed))
        assert all(check_fact(world, claim.fact) == "unverifiable" for claim in claims)
    assert all(claim.value in ATTRIBUTES[claim.attribute].values for claim in claims)


def test_the_same_seed_gives_the_same_text_and_another_seed_another(world, corpus, datasets, asked):
    again = draw_world(SETTINGS)
    assert again == world
    assert draw_corpus(again, SETTINGS) == corpus
    assert json.dumps(draw_datasets(again, SETTINGS)) == json.dumps(datasets)
    assert draw_questions(again, SETTINGS) == asked
    assert draw_world(SETTINGS.model_copy(update={"seed": 1})) != world
