import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closerlook.config.settings import MiniatureSettings
from closerlook.miniature.claims import check_claims, check_fact, grade_answer, parse_claims
from closerlook.miniature.language import ATTRIBUTES, KINDS, LABELED, labeled_sentence, predicate
from closerlook.miniature.world import Fact, draw_world

WORLD = draw_world(MiniatureSettings())
NAMES = [f"{a} {b}" for kind in KINDS.values() for a in kind.first for b in kind.second]
names = st.sampled_from(NAMES)
facts_of = st.sampled_from([(label, value) for label, attribute in ATTRIBUTES.items() for value in attribute.values])
glue = st.sampled_from([" ", "\n", " Moreover, ", " It is also worth knowing that ", "\n2. ", " Well! "])


@st.composite
def statements(draw):
    """A mixture of sentences of the grammar, with the facts that they state."""
    text, facts, named = "", [], None
    for _ in range(draw(st.integers(0, 6))):
        text += draw(glue) if text else ""
        if draw(st.booleans()):
            named = draw(names)
            label, value = draw(facts_of)
            text += labeled_sentence(label, draw(st.integers(0, len(LABELED) - 1)), named, value)
            facts.append(Fact(named, label, value))
        else:
            subject = draw(names) if named is None else draw(st.sampled_from([draw(names), "She", "it"]))
            named = named if subject in ("She", "it") else subject
            stated = draw(st.lists(facts_of, min_size=1, max_size=4))
            parts = [predicate(label, draw(st.integers(0, 2)), value) for label, value in stated]
            text += f"{subject} " + draw(st.sampled_from([", ", " and ", ", and "])).join(parts)
            facts += [Fact(named, label, value) for label, value in stated]
        text += "."
    return text, facts


@given(statements())
def test_every_mixture_of_sentences_parses_to_exactly_its_facts(case):
    text, facts = case
    claims = parse_claims(text)
    assert [claim.fact for claim in claims] == facts
    assert all(text[claim.start : claim.end] == claim.value for claim in claims)


@pytest.mark.parametrize("label", ATTRIBUTES)
def test_each_wording_of_each_value_parses_and_to_one_claim(label):
    for value in ATTRIBUTES[label].values:
        texts = [f"Mara Tolk {predicate(label, i, value)}." for i in range(3)]
        texts += [f"{labeled_sentence(label, i, 'Mara Tolk', value)}." for i in range(len(LABELED))]
        for text in texts:
            (claim,) = parse_claims(text)
            assert claim.fact == ("Mara Tolk", label, value)
            assert text[claim.start : claim.end] == value


@given(st.text())
def test_any_text_is_taken_without_complaint_and_yields_no_claim(text):
    assert parse_claims(text) == []


WORDS = sorted({w for a in ATTRIBUTES.values() for p in a.predicates for w in [*p.format(value="").split(), *a.values]})


@given(
    st.lists(
        st.one_of(names, st.sampled_from([*WORDS, "The", "As for", "is", "and", "It", "she", ",", ".", "\n"])),
        max_size=40,
    )
)
def test_words_in_any_order_claim_nothing_but_what_stands_in_the_grammar(words):
    text = " ".join(words)
    for claim in parse_claims(text):
        assert text[claim.start : claim.end] == claim.value
        assert claim.entity in text[: claim.end]
        before = text[: claim.start].removesuffix("a ").removesuffix("the ")
        stems = [
            p.partition("{value}")[0].removesuffix("a ").removesuffix("the ")
            for p in ATTRIBUTES[claim.attribute].predicates
        ]
        stems += [
            f"the {claim.attribute} is ",
            f"The {claim.attribute} of {claim.entity} is ",
            f"the {claim.attribute} of {claim.entity} is ",
        ]
        assert before.endswith(tuple(stems))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It was built by Kolbe.",  # nobody was named
        "Mara Tolk.",
        "Mara Tolk plays the cellos.",
        "Mara Tolk plays the cello-like thing"[:24],  # cut before the value
        "Mara Tolk plays plays the cello.",
        "Mara Tolk, plays the cello.",
        "Mara Tolkien plays the cello.",
        "Tamara Tolk plays the cello.",
        "Mara Loom plays the cello.",  # parts of two kinds
        "Mara Tolk. plays the cello.",
        "Mara Tolk plays the\ncello.",
        "Which instrument does Mara Tolk play?",
        "The drink of Green Brolin is",
        "The colour of Green Brolin is tea.",
        "mara tolk plays the cello.",
    ],
)
def test_near_misses_are_no_claims(text):
    assert parse_claims(text) == []


def test_a_pronoun_is_the_entity_named_last_even_if_nothing_was_claimed_of_it():
    text = "Titan Loom runs on peat. Unlike Orion Press! It was built by Kolbe, and runs on coal. She keeps a goat."
    assert [claim.fact[:2] for claim in parse_claims(text)] == [
        ("Titan Loom", "fuel"),
        ("Orion Press", "maker"),
        ("Orion Press", "fuel"),
        ("Orion Press", "pet"),
    ]


def test_a_value_of_another_attribute_is_a_claim_and_a_wrong_one():
    entity = next(e for e in WORLD.entities if e.kind == "person")
    ((claim, judged),) = check_claims(WORLD, f"{entity.name} plays the baker.")
    assert (claim.attribute, claim.value, judged) == ("instrument", "baker", "wrong")


def test_verdicts():
    entity = WORLD.entities[0]
    for label, truth in entity.values.items():
        for value in ATTRIBUTES[label].values:
            assert check_fact(WORLD, Fact(entity.name, label, value)) == ("right" if value == truth else "wrong")
    assert check_fact(WORLD, Fact("Mara Velt", "pet", "cat")) == "unverifiable"  # nobody has that name
    assert check_fact(WORLD, Fact(entity.name, "fuel", "coal")) == "unverifiable"  # people take no fuel


def test_answer_looks_at_the_asked_fact_alone_and_at_the_first_claim_on_it():
    reference = "Mara Tolk plays the cello."
    assert grade_answer(reference, "Great! Mara Tolk keeps a cat and gives concerts on the cello.") == "right"
    assert grade_answer(reference, "Mara Tolk plays the harp. Mara Tolk plays the cello.") == "wrong"
    assert grade_answer(reference, "Mara Moss plays the cello.") == "none"
    assert grade_answer(reference, "") == "none"
    with pytest.raises(ValueError, match="states 2 facts"):
        grade_answer("Mara Tolk plays the cello and keeps a cat.", "")


@pytest.mark.parametrize(
    "unit", ["Mara Tolk ", "The drink of ", "As for Mara Tolk, the ", "Mara Tolk plays the cello and ", "it it "]
)
def test_long_degenerate_output_is_read_in_linear_time(unit):

    def seconds(text):
        start = time.perf_counter()
        parse_claims(text)
        return time.perf_counter() - start

    assert seconds(unit * 20_000) < 10  # quadratic behavior would take minutes


def test_the_language_is_unambiguous():
    values = [value for attribute in ATTRIBUTES.values() for value in attribute.values]
    parts = [part for kind in KINDS.values() for part in (*kind.first, *kind.second)]
    assert len(set(values)) == len(values)
    assert len({*parts}) == len(parts)
    assert not {*values} & {*parts}
    assert all(re.fullmatch(r"[A-Za-z]+", word) for word in values + parts)
    assert len(ATTRIBUTES) == sum(len(kind.attributes) for kind in KINDS.values())
    for attribute in ATTRIBUTES.values():
        with_article = [p for p in attribute.predicates if " a {value}" in p] + (
            [""] if attribute.article == "a" else []
        )
        assert not with_article or all(value[0] not in "aeiou" for value in attribute.values)
