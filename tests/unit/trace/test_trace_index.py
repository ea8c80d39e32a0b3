"""The index of a dataset, and the two programs that make it and search in it."""

import json
import math
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import REPOSITORY

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import INSTANCES
from closerlook.data.instances import instance_id
from closerlook.text.words import join_words, words_of
from closerlook.trace.index import Index, read_instances
from closerlook.trace.rankers import fuse

PAIRS = [
    ("What is the capital of Velmora?", "The capital of Velmora is Tarn."),
    ("Name a color.", "Blue."),
    ("name a river", "The Tarn; the tarn-like Oss."),
    ("Zähle auf: \u00e9 or e\u0301?", "a\nb\0c (.*) 👩‍👧 $5"),
    ("...", "?!"),
    ("Name a color.", "Blue, or blue."),
]


def table(pairs):
    ids = [f"{row}-{instance_id(*pair)}" for row, pair in enumerate(pairs)]
    columns = [ids, *(list(column) for column in zip(*pairs, strict=True)), ["made"] * len(pairs), range(len(pairs))]
    return pa.table(dict(zip(INSTANCES.names, columns, strict=True)), schema=INSTANCES)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return Index.build(table(PAIRS), tmp_path_factory.mktemp("index") / "made")


def test_holds_the_dataset(index):
    assert index.ids == table(PAIRS)["id"].to_pylist()
    assert list(zip(index.instructions, index.responses, strict=True)) == PAIRS
    assert index.sizes.tolist() == [12, 4, 8, 9, 0, 6]


def test_exact_minds_case_and_words_do_not(index):
    def whole(phrase):
        return index.words.documents(join_words(word.text for word in words_of(phrase))).tolist()

    assert index.exact.documents("tarn").tolist() == [2]
    assert index.exact.documents("Tarn").tolist() == [0, 2]
    assert whole("TARN") == [0, 2]
    assert whole("tar") == []
    assert index.exact.documents("tar").tolist() == [2]
    assert whole("a color") == [1, 5]
    assert whole("color blue") == []  # over the border of instruction and response
    assert whole("") == []


def test_bm25_is_bm25(index):
    bags = [Counter(word.text for text in pair for word in words_of(text)) for pair in PAIRS]
    mean = sum(map(Counter.total, bags)) / len(bags)

    def score(query, bag):
        total = 0.0
        for word in query.lower().split():
            holding = sum(word in other for other in bags)
            if word in bag:
                weight = math.log(1 + (len(bags) - holding + 0.5) / (holding + 0.5))
                total += weight * bag[word] / (bag[word] + 1.5 * (0.25 + 0.75 * bag.total() / mean))
        return total

    queries = ["blue", "the capital of tarn", "name name river", "nothing known", ""]
    rows, scores = index.bm25(queries, 10)
    assert (rows.shape, rows.dtype, scores.dtype) == ((5, 6), np.int32, np.float32)
    for query, actual, actual_scores in zip(queries, rows, scores, strict=True):
        expected = [score(query, bag) for bag in bags]
        np.testing.assert_allclose(actual_scores, [expected[row] for row in actual], rtol=1e-5)
        assert actual.tolist() == sorted(range(len(bags)), key=lambda row: (-round(expected[row], 5), row))
    assert index.bm25(queries, 2)[0].tolist() == rows[:, :2].tolist()
    assert index.bm25([], 3)[0].shape == (0, 3)


@pytest.mark.filterwarnings("error")
def test_a_dataset_without_words_finds_nothing(tmp_path):
    index = Index.build(table([("", "..."), ("?!", "🙂")]), tmp_path / "index")
    rows, scores = index.bm25(["a word", "", "🙂"], 2)
    assert (rows.tolist(), scores.tolist()) == ([[0, 1]] * 3, [[0.0, 0.0]] * 3)


def test_saved_is_what_was_built(index, tmp_path):
    again = Index.build(table(PAIRS), tmp_path / "again")
    files = {path.relative_to(index._folder): path.read_bytes() for path in index._folder.rglob("*") if path.is_file()}
    assert files == {p.relative_to(again._folder): p.read_bytes() for p in again._folder.rglob("*") if p.is_file()}


def test_a_damaged_index_is_refused(tmp_path):
    folder = tmp_path / "index"
    Index.build(table(PAIRS), folder)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole = file.read_bytes()
        for damaged in (whole[: len(whole) // 2], b""):
            file.write_bytes(damaged)
            with pytest.raises(CloserlookError, match=r"workflow/scripts/build_index\.py"):
                Index(folder).bm25(["blue"], 1)
        file.write_bytes(whole)
    other = Index.build(table(PAIRS[:2]), tmp_path / "other")
    (folder / "instances.arrow").write_bytes((other._folder / "instances.arrow").read_bytes())
    with pytest.raises(CloserlookError, match="do not belong together"):
        Index(folder)


def run(script, *arguments):
    command = [sys.executable, REPOSITORY / "workflow" / "scripts" / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_from_file_to_file(tmp_path):
    dataset, phrases, out = tmp_path / "data.parquet", tmp_path / "phrases.jsonl", tmp_path / "found.jsonl"
    write_parquet(table(PAIRS), INSTANCES, dataset)
    done = run("build_index.py", "--dataset", dataset, "--out", tmp_path / "index")
    assert done.returncode == 0, done.stderr
    texts = [
        "Tarn",
        "tarn",
        "lue",
        "",
        "\0",
        "b\0c",
        "(.*)",
        ".*",
        "\n",
        "👩",
        "e\u0301",
        "é",
        "\ud83d",
        "?!",
        "Velmora?The",
        "a",
    ]
    write_lines(phrases, [{"phrase": phrase, "more": 1} for phrase in texts])
    done = run("search.py", "--index", tmp_path / "index", "--phrases", phrases, "--out", out)
    assert done.returncode == 0, done.stderr
    ids = table(PAIRS)["id"].to_pylist()
    for phrase, line in zip(texts, out.read_text().splitlines(), strict=True):
        holding = [id for id, pair in zip(ids, PAIRS, strict=True) if phrase and any(phrase in text for text in pair)]
        assert json.loads(line) == {"phrase": phrase, "count": len(holding), "ids": holding}


def test_json_lines_with_three_keys_will_do(tmp_path):
    records = [{"id": row, "instruction": pair[0], "response": pair[1]} for row, pair in enumerate(PAIRS)]
    read = read_instances(write_lines(tmp_path / "data.jsonl", records))
    assert read["id"].to_pylist() == ["0", "1", "2", "3", "4", "5"]
    assert read["response"].to_pylist() == [response for _, response in PAIRS]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "found no instances, expected at least one"),
        ([{"id": "a", "instruction": "b"}], r"row 0 \(counted from 0\): response: found nothing, expected text"),
        ([{"id": "a", "instruction": "b", "response": "c"}, 5], "row 1.*not an object"),
        ([{"id": "a", "instruction": 5, "response": "c"}], "instruction: found int, expected text"),
        ([{"id": "a", "instruction": "\ud800", "response": "c"}], "half a character"),
    ],
)
def test_refuses_what_is_no_dataset(tmp_path, records, message):
    with pytest.raises(CloserlookError, match=message):
        read_instances(write_lines(tmp_path / "data.jsonl", records))


@pytest.mark.parametrize("line", ['{"phrase": 5}', '{"text": "a"}', '"a"', '{"phrase": "a"', "\\ud800"])
def test_a_line_that_is_no_phrase_is_named(index, tmp_path, line):
    phrases, out = tmp_path / "phrases.jsonl", tmp_path / "found.jsonl"
    phrases.write_text('{"phrase": "a"}\n\n' + line + "\n")
    done = run("search.py", "--index", index._folder, "--phrases", phrases, "--out", out)
    assert done.returncode == 2
    assert f"{phrases}, line 3" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("script", "flag", "needed"),
    [
        ("trace_spans.py", "--top", "responses shift evalset spans out"),
        ("attribute_spans.py", "--top", "base model data template responses spans out"),
        ("borrowing.py", "--neighbors", "responses shift evalset out"),
    ],
)
def test_none_at_all_is_no_number_of_instances(tmp_path, script, flag, needed):
    flags = [word for name in needed.split() for word in (f"--{name}", tmp_path / "none")]
    search = ["--search", "name", tmp_path] if script != "attribute_spans.py" else []
    done = run(script, *flags, *search, flag, 0)
    assert (done.returncode, done.stderr) == (2, f"error: {flag}: found 0, expected at least 1\n")


def test_searching_imports_nothing_heavy():
    code = "import sys, closerlook.trace.search; print([n for n in ('torch', 'pandas', 'transformers') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


rankings = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=10), max_size=4)


@given(rankings, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_fusion_is_reciprocal_rank_fusion(given_rankings, draw):
    fused = list(fuse(given_rankings))
    score = {row: sum(1 / (61 + r.index(row)) for r in given_rankings if row in r) for r in given_rankings for row in r}
    assert sorted(fused) == sorted(score)
    assert all(score[a] >= score[b] - 1e-12 for a, b in pairwise(fused))
    shuffled = draw.sample(given_rankings, len(given_rankings))
    assert [round(score[row], 9) for row in fuse(shuffled)] == [round(score[row], 9) for row in fused]


def test_fusion_settles_ties():
    assert list(fuse([[5, 3], [3, 5]])) == [3, 5]
    assert list(fuse([[7], [2], [4]])) == [2, 4, 7]
    assert fuse([]) == {}
    assert next(iter(fuse([[1, 2, 3], [3, 9]]))) == 3
