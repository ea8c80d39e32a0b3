"""Chance: disjoint random parts of a dataset, in which phrases are found as direct search finds them."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.borrowing import DATA, TEXTS, WORDS, searched, stands

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import BORROWING
from closerlook.report.tables.borrowing import Counts, measure_borrowing
from closerlook.trace.borrowing import BorrowingInputs, Searched, count_borrowing
from closerlook.trace.held_out import PARTS, SMALL, SMALL_PARTS, Parts, match_lengths_by_part
from closerlook.trace.index import Index
from closerlook.trace.passages import Passages


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    generator = random.Random(0)
    pairs = [("", " ".join(generator.choices(WORDS.split(), k=4))) for _ in range(60)]
    return searched(pairs, tmp_path_factory.mktemp("parts")).index


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 9))
def test_parts_are_disjoint_of_one_size_and_each_of_one_side(
    index: Index, size: int, least: int, most: int, seed: int
) -> None:
    """Of any subset, in any order: the last `least` of it no cell saw, and those up to `most` some cells did."""
    subset = random.Random(seed).sample(index.ids, size)
    least, most = sorted((min(least, size), min(most, size)))
    parts = Parts.cut(index, subset, least, most, seed)
    seen, unseen = {*subset[: size - most]}, {*index.ids} - {*subset[: size - least]}
    if not (seen and unseen):
        assert parts is None
        return
    again = Parts.cut(index, subset, least, most, seed)
    assert parts is not None
    assert again is not None
    assert parts.bits.tolist() == again.bits.tolist()
    members = {
        name: {index.ids[row] for row in np.flatnonzero(parts.bits >> np.uint64(bit) & np.uint64(1))}
        for bit, name in enumerate(parts.names)
    }
    smaller = min(len(seen), len(unseen))
    for suffix, size, of_smaller, of_larger in (
        ("", smaller, PARTS, PARTS),
        ("_small", max(1, smaller // SMALL), SMALL, SMALL_PARTS),
    ):
        cut = []
        for name, side in (("tuned_on", seen), ("held_out", unseen)):
            own = [ids for (kind, _), ids in members.items() if kind == name + suffix]
            assert {len(ids) for ids in own} == {size}
            assert len(own) == min(len(side) // size, of_smaller if len(side) == smaller else of_larger)
            assert set.union(*own) <= side
            cut += own
        assert len(set.union(*cut)) == sum(map(len, cut)), "no instance is in two parts of a cut"


def test_a_subset_of_another_dataset_is_refused(index: Index) -> None:
    with pytest.raises(CloserlookError, match="has no instance stranger of the subset"):
        Parts.cut(index, [*index.ids[:9], "stranger"], 0, 0, 0)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(TEXTS, max_size=4), st.integers(1, 9), st.integers(0, 5))
def test_each_part_has_its_own_longest_runs(index: Index, texts: list[str], limit: int, seed: int) -> None:
    parts = Parts.cut(index, index.ids[:12], 0, 0, seed)
    assert parts is not None
    passages = Passages.from_texts([str(i) for i in range(len(texts))], texts)
    words = [word.text for word in passages.words]
    lengths = match_lengths_by_part(words, passages.remaining, parts, limit)
    for part, of_part in enumerate(lengths):
        rows = np.flatnonzero(parts.bits >> np.uint64(part) & np.uint64(1))
        pairs = [(index.instructions[row], index.responses[row]) for row in rows]
        for i, (run, left) in enumerate(zip(of_part, passages.remaining, strict=True)):
            found = [n for n in range(1, min(limit, left) + 1) if stands(words[i : i + n], pairs)]
            assert run == max(found, default=0)


def test_counts_of_parts_are_those_of_direct_search(tmp_path: Path) -> None:
    whole = searched(
        [*DATA, *((text, "") for text in ("dd ee a", "zz", "a b", "c c", "b c dd", "ee", "a", "x"))], tmp_path
    )
    own = searched(DATA, tmp_path, "own")
    parts = Parts.cut(whole.index, whole.index.ids[: len(DATA)], 0, 0, 3)
    assert parts is not None
    texts = ["a b c dd", "", "zz ee dd"]
    passages = Passages.from_texts(["x", "y", "z"], texts)
    inputs = BorrowingInputs(passages, np.array(["shifted"] * 7), texts, {"m": [(0, 0, 5), (2, 3, 8)]})
    rows = count_borrowing(inputs, [Searched(own, None, parts)], 2, 0).to_pylist()
    small = [*(("tuned_on_small", n) for n in range(4)), *(("held_out_small", n) for n in range(8))]
    named = [("tuned_on", 0), ("held_out", 0), ("held_out", 1), *small]
    assert parts.names == named
    assert {(r["null"], r["draw"]) for r in rows if r["null"] in parts.counts} == {*named}
    assert {r["draw"] for r in rows if r["null"] not in parts.counts} == {0}
    found = {
        (r["id"], r["unit"], r["ngram"], r["null"], r["draw"]): (r["found"], r["phrases"])
        for r in rows
        if r["where"] == "all"
    }
    for part, (null, draw) in enumerate(named):
        members = np.flatnonzero(parts.bits >> np.uint64(part) & np.uint64(1))
        pairs = [(whole.index.instructions[row], whole.index.responses[row]) for row in members]
        for id_, text in zip("xyz", texts, strict=True):
            words = text.split()
            for n in (1, 2, 3):
                phrases = [words[i : i + n] for i in range(len(words) - n + 1)]
                wanted = sum(stands(phrase, pairs) for phrase in phrases), len(phrases)
                assert found.get((id_, "shifted", n, null, draw), (0, 0)) == wanted
        assert found["x", "span:m", 0, null, draw] == (stands(["a", "b", "c"], pairs), 1)
        assert found["z", "span:m", 0, null, draw] == (stands(["ee", "dd"], pairs), 1)
    for id_, unit, n, null, draw in found:
        if null == "tuned_on":
            assert found[id_, unit, n, null, draw] == found[id_, unit, n, "observed", 0], (
                "its one part is the dataset itself"
            )


@pytest.mark.parametrize("planted", [0.0, 0.4, 0.8])
def test_the_corrected_rate_is_what_was_planted(tmp_path: Path, planted: float) -> None:
    """A word is borrowed from the dataset with probability p, else drawn from the words of the language, as all datasets are."""
    generator = random.Random(int(10 * planted))
    language = [f"w{i}" for i in range(400)]
    pairs = [("", " ".join(generator.choices(language, k=10))) for _ in range(21 * 25)]
    vocabulary = sorted({word for _, text in pairs[:25] for word in text.split()})
    texts = [
        " ".join(
            generator.choice(vocabulary) if generator.random() < planted else generator.choice(language)
            for _ in range(20)
        )
        for _ in range(120)
    ]
    passages = Passages.from_texts([str(i) for i in range(len(texts))], texts)
    borrowed = BorrowingInputs(passages, np.full(len(passages.words), "shifted"), texts, {})
    index = searched(pairs, tmp_path).index
    parts = Parts.cut(index, index.ids[:25], 0, 0, 0)
    table = count_borrowing(borrowed, [Searched(searched(pairs[:25], tmp_path, "own"), None, parts)], 5, 0)
    write_parquet(table, BORROWING, tmp_path / "borrowing.parquet")
    wanted = {"unit": "shifted", "where": "all", "null": "held_out", "ngram": 1}
    actual = {
        name: e for keys, name, e in measure_borrowing(tmp_path / "borrowing.parquet") if wanted.items() <= keys.items()
    }
    assert actual["draws"].value == PARTS
    assert actual["corrected"].low <= planted <= actual["corrected"].high
    assert (actual["p"].value <= 1e-4) == (planted > 0), "all five parts tuned on have more than any of the 25 others"
    assert actual["observed"].value > actual["corrected"].value, "without a chance level everything looks borrowed"
    counts = Counts(tmp_path / "borrowing.parquet")
    assert counts.select(searched="own", unit="shifted", where="all", null="observed", ngram=1)[1].sum() == 120 * 20
