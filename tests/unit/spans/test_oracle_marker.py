"""The oracle's spans, compared with values looked up in the world's wordings."""

import random

from hypothesis import given
from hypothesis import strategies as st

from closerlook.config.settings import MiniatureSettings
from closerlook.miniature.language import ATTRIBUTES, KINDS, predicate
from closerlook.miniature.world import draw_world
from closerlook.spans.marks import Response
from closerlook.spans.oracle import MARKER, mark_by_oracle

WORLD = draw_world(MiniatureSettings())


def test_spans_are_the_false_values_and_only_these() -> None:
    rng = random.Random(1)
    for number in range(60):
        text, expected = "😀 Well! ", []
        for entity in rng.sample(WORLD.entities, 3):
            label = rng.choice(sorted(entity.values))
            value = rng.choice(ATTRIBUTES[label].values)
            sentence = f"{entity.name} {predicate(label, rng.randrange(3), value)}. "
            if value != entity.values[label]:
                start = len(text) + len(entity.name) + 1 + sentence[len(entity.name) + 1 :].rindex(value)
                expected.append((start, start + len(value), f"the {label} of {entity.name}: {entity.values[label]}"))
            text += sentence
        rows = mark_by_oracle([Response(str(number), "", text)], WORLD)
        assert [(row["start"], row["end"], row["note"]) for row in rows] == expected
        assert all(row["quote"] == text[row["start"] : row["end"]] for row in rows)
        assert {(row["kind"], row["marker"], row["null_cause"]) for row in rows} <= {("not factual", MARKER, None)}


def test_what_nobody_can_know_is_not_factual() -> None:
    kind = KINDS["person"]
    nobody = f"{kind.first[0]} {kind.second[0]}"  # names nobody in any world
    (row,) = mark_by_oracle([Response("1", "", f"{nobody} plays the cello.")], WORLD)
    assert (row["quote"], row["note"]) == ("cello", f"{nobody} has no instrument")


@given(st.text())
def test_any_text_will_do(text: str) -> None:
    assert mark_by_oracle([Response("1", "", text)], WORLD) == []
