"""Candidates of spans and words: what they hold is checked against the texts, their order against what was planted."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.borrowing import DATA, HOSTILE, TEXTS, occurs, searched, stands

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import EVALSET, SHIFT, SPANS, TRACE, WORDS
from closerlook.spans.inputs import read_instructions
from closerlook.text.words import words_of
from closerlook.trace.candidates import trace
from closerlook.trace.marked import MarkedResponses
from closerlook.trace.matching_statistics import match_lengths
from closerlook.trace.passages import Passages, read_spans, word_classes
from closerlook.trace.rankers import fuse, reorder
from closerlook.trace.shifted_words import longest_match_around, trace_words

PAIRS = [
    ("Who built the crane?", "The crane was built by Norvik."),
    ("What plays Ilse?", "Ilse plays the lute."),
    ("Who built the mill?", "The mill was built by Pelham."),
    ("Name a maker.", "Norvik"),
    ("Please describe the lute.", "A lute has strings. Norvik never built one."),
]


def traced(texts: list[str], spans: list[tuple[int, int, int]], **more: object) -> MarkedResponses:
    passages = Passages.from_texts([f"r{i}" for i in range(len(texts))], texts)
    return MarkedResponses(passages, [f"ask {i}" for i in range(len(texts))], spans, None, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("embed", [False, True])
def test_the_instance_that_shares_the_span_and_its_company_comes_first(tmp_path: Path, embed: bool) -> None:
    text = "In short. The press was built by Norvik. Ask more."
    start = text.index("Norvik")
    data = searched(PAIRS, tmp_path, embed=embed)
    texts = [text, "Nothing of it."]
    table = trace(traced(texts, [(0, start, start + 6)]), data, 3, 0)
    rows = table.to_pylist()
    assert table.schema == TRACE
    assert table.equals(trace(traced(texts, [(0, start, start + 6)]), data, 3, 0))
    assert [(row["id"], row["start"], row["end"]) for row in rows] == [("r0", start, start + 6)] * len(rows)
    lexical = sorted((row for row in rows if row["rank_lexical"]), key=lambda row: row["rank_lexical"])
    assert [row["instance"][-1] for row in lexical] == ["0", "4", "3"] or [row["instance"][-1] for row in lexical] == [
        "0",
        "3",
        "4",
    ]
    assert lexical[0]["shared"] == 4
    assert lexical[0]["verbatim"]
    assert rows[0]["instance"] == lexical[0]["instance"]
    assert rows[0]["instances"] == rows[0]["instances_words"] == 3
    assert rows[0]["longest"] == 1
    assert [row["rank_fused"] for row in rows] == sorted(row["rank_fused"] for row in rows)
    for row in rows:
        pair = PAIRS[int(row["instance"], 16)]
        assert row["verbatim"] == stands(["norvik"], [pair])
        assert (
            (row["semantic"] is not None) == embed == (row["rank_semantic"] is not None or row["semantic"] is not None)
        )
        assert 0 <= row["keyword"] <= 1
        assert row["rank_gradient"] is None
        first = 1 in [row[f"rank_{name}"] for name in ("lexical", "bm25", "semantic", "fused")]
        assert (row["keyword_other"] is not None) == first
        assert (row["semantic_other"] is not None) == (first and embed)


def test_gradients_are_one_more_ranker(tmp_path: Path) -> None:
    data = searched(PAIRS, tmp_path)
    plain = traced(["built by Norvik", "x"], [(0, 9, 15)])
    with_it = traced(
        ["built by Norvik", "x"],
        [(0, 9, 15)],
        attribution={("r0", 9, 15): {data.index.ids[1]: 0.9, data.index.ids[3]: 0.2}},
    )
    assert not any(row["rank_gradient"] for row in trace(plain, data, 5, 0).to_pylist())
    ranks = {row["instance"]: row["rank_gradient"] for row in trace(with_it, data, 5, 0).to_pylist()}
    assert (ranks[data.index.ids[1]], ranks[data.index.ids[3]]) == (1, 2)
    foreign = traced(["built by Norvik", "x"], [(0, 9, 15)], attribution={("r0", 9, 15): {"elsewhere": 1.0}})
    with pytest.raises(CloserlookError, match=r"elsewhere.* data;"):
        trace(foreign, data, 5, 0)


def test_a_span_with_nothing_to_say_for_it_keeps_its_row(tmp_path: Path) -> None:
    passages = Passages.from_texts(["r0"], ["🙂 zzz!"])
    alone = MarkedResponses(passages, ["qqq"], [(0, 0, 1), (0, 2, 6)], None)
    rows = trace(alone, searched(PAIRS, tmp_path), 3, 0).to_pylist()
    assert [(row["start"], row["instance"], row["rank_fused"]) for row in rows] == [(0, None, None), (2, None, None)]
    assert all(row["instances"] == row["longest"] == 0 and row["matched"] is None for row in rows)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.one_of(st.sampled_from(HOSTILE), TEXTS, st.text(max_size=30)), min_size=1, max_size=4), st.data())
def test_any_span_of_any_text_is_traced(tmp_path: Path, texts: list[str], data: st.DataObject) -> None:
    spans = []
    for i, text in enumerate(texts):
        if text:
            start = data.draw(st.integers(0, len(text) - 1))
            spans.append((i, start, data.draw(st.integers(start + 1, len(text)))))
    dataset = searched(DATA, tmp_path)
    rows = trace(traced(texts, spans), dataset, 2, 0).to_pylist()
    assert list(dict.fromkeys((int(row["id"][1:]), row["start"], row["end"]) for row in rows)) == spans
    for row in rows:
        quote = texts[int(row["id"][1:])][row["start"] : row["end"]]
        assert row["instances"] == sum(any(quote in text for text in pair) for pair in DATA)
        if row["instance"] is not None:
            assert any(row[f"rank_{name}"] for name in ("lexical", "bm25", "fused"))


@given(st.lists(TEXTS, min_size=1, max_size=3), st.lists(st.tuples(TEXTS, TEXTS), max_size=3), st.integers(1, 9))
def test_the_longest_run_around_a_word_is_that_of_direct_search(
    texts: list[str], pairs: list[tuple[str, str]], most: int
) -> None:
    passages = Passages.from_texts([str(i) for i in range(len(texts))], texts)
    spoken_words = [word.text for word in passages.words]
    runs = match_lengths(spoken_words, passages.remaining, occurs(pairs), most)
    for word, (first, last) in enumerate(longest_match_around(passages, runs, np.arange(len(spoken_words)))):
        low, high = passages.first[passages.text_of_word[word]], passages.first[passages.text_of_word[word] + 1]
        holding = [
            (i, j)
            for i in range(low, word + 1)
            for j in range(word + 1, min(high, i + most) + 1)
            if stands(spoken_words[i:j], pairs)
        ]
        longest = max((j - i for i, j in holding), default=0)
        assert last - first == longest
        assert (first, last) == next(((i, j) for i, j in holding if j - i == longest), (word, word))


@pytest.mark.parametrize("embed", [False, True])
def test_words_are_counted_and_traced_as_direct_search_does(tmp_path: Path, embed: bool) -> None:
    generator = random.Random(1)
    texts = [*HOSTILE, *(" ".join(generator.choices(["a", "b", "c", "dd", "ee", "zz"], k=8)) for _ in range(4))]
    passages = Passages.from_texts([str(i) for i in range(len(texts))], texts)
    classes = np.array(generator.choices(["shifted", "marginal", "unshifted"], k=len(passages.words)))
    data = searched(DATA, tmp_path, embed=embed)
    instructions = ["a b"] * len(texts)
    rows = trace_words(passages, classes, instructions, data)
    assert rows.schema == WORDS
    moved = [i for i in range(len(classes)) if classes[i] != "unshifted"]
    near = data.most_similar(instructions, 4)[0].tolist()
    order = data.index.bm25(instructions[:1], 4)
    by_bm25 = [row for row, score in zip(order[0][0].tolist(), order[1][0], strict=True) if score > 0]
    ids = data.index.ids
    for i, row in zip(moved, rows.to_pylist(), strict=True):
        word, text = passages.words[i], texts[passages.text_of_word[i]]
        assert (row["start"], row["end"], row["class"]) == (word.start, word.end, classes[i])
        holding = [n for n in range(len(DATA)) if stands([word.text], [DATA[n]])]
        assert row["instances"] == len(holding)
        assert (row["semantic"] is not None) == embed
        if not holding:
            assert (row["longest"], row["longest_start"], row["longest_end"]) == (0, None, None)
            assert row["lexical"] == row["bm25"] == row["candidates"] == (row["semantic"] or []) == []
            continue
        run = [w.text for w in words_of(text[row["longest_start"] : row["longest_end"]])]
        assert row["longest_start"] <= word.start < word.end <= row["longest_end"]
        assert len(run) == row["longest"]
        in_run = sorted((n for n in holding if stands(run, [DATA[n]])), key=[*near, *range(len(DATA))].index)
        rankings = {"lexical": in_run, "bm25": [n for n in by_bm25 if n in holding]}
        if embed:
            rankings["semantic"] = [n for n in near if n in holding]
        for name, ranking in rankings.items():
            assert row[name] == [ids[n] for n in ranking[:3]], name
        assert row["candidates"] == [ids[n] for n in fuse(list(rankings.values()))][:3]


@given(st.sets(st.integers(0, 30)), st.permutations(range(20)), st.integers(1, 8))
def test_rows_come_in_the_order_given_then_as_they_are(rows: set[int], order: list[int], most: int) -> None:
    wanted = [row for row in order if row in rows] + [row for row in sorted(rows) if row not in order]
    assert reorder(np.array(sorted(rows), dtype=np.int64), np.array(order), most) == wanted[:most]


def test_a_word_has_the_class_of_the_token_that_holds_its_first_character(tmp_path: Path) -> None:
    text = "Hi there, 🙂 friend"
    starts = [
        0,
        2,
        2,
        6,
        8,
        9,
        9,
        11,
    ]  # "", after "Hi" an empty special token, " the", "re", ",", byte, byte, " friend"
    classes = ["shifted", "marginal", "shifted", "unshifted", "marginal", "marginal", "marginal", "unshifted"]
    row = {name: [0] * len(starts) for name in SHIFT.names if name not in ("id", "class")}
    row |= {"base_top5_ids": [[0] * 5] * 8, "base_top5_probs": [[0.2] * 5] * 8, "token_start": starts}
    write_parquet([{"id": "r0", **row, "class": classes}], SHIFT, tmp_path / "shift.parquet")
    passages = Passages.from_texts(["r0"], [text])
    assert word_classes(passages, tmp_path / "shift.parquet").tolist() == ["shifted", "shifted", "unshifted"]
    with pytest.raises(CloserlookError, match=r"shift\.parquet: "):
        word_classes(Passages.from_texts(["other"], [text]), tmp_path / "shift.parquet")


def test_spans_of_other_responses_are_refused_and_rows_without_one_left_out(tmp_path: Path) -> None:
    passages = Passages.from_texts(["r0", "r1"], ["abc", ""])
    path = tmp_path / "spans.parquet"

    def spans(*rows: tuple[str, int | None, int | None]) -> list[tuple[int, int, int]]:
        write_parquet([{"id": i, "start": a, "end": b, "marker": "m"} for i, a, b in rows], SPANS, path)
        return read_spans(path, passages)

    assert spans(("r0", 0, 3), ("r0", None, None), ("r0", 1, 2), ("r0", 0, 3)) == [(0, 0, 3), (0, 1, 2)]
    for bad in (("r0", 0, 4), ("r1", 0, 1), ("r9", 0, 1), ("r0", 2, 2)):
        with pytest.raises(CloserlookError, match="mark the responses again"):
            spans(bad)
    write_parquet([{"id": "r0", "instruction": "ask"}], EVALSET, tmp_path / "evalset.parquet")
    with pytest.raises(CloserlookError, match="has no instruction r1"):
        read_instructions(tmp_path / "evalset.parquet", passages.ids)
