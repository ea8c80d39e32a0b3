"""Both arms of the ablation have the same sample and exclude the same number of instances; nothing else changes."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import REPOSITORY
from tests.support.files import json_file

from closerlook.config.derived import AblationSettings
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, write_parquet
from closerlook.core.schemas import EVALSET, INSTANCES, RESPONSES, SPANS, TRACE
from closerlook.data.instances import instance_id
from closerlook.derive.ablate import AblationFiles, SampledSpan, exclude, match_controls
from closerlook.spans.inputs import Span, words_only
from closerlook.trace.index import Index

WORDS = ["cello", "lute", "harp", "drum", "horn"]


def script(name, *arguments):
    command = [sys.executable, REPOSITORY / "workflow/scripts" / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def ablation(**more):
    values = {"cell": "m/d/sft", "evalset": "e", "marker": "oracle", "take": "traced", "spans": 3, "candidates": 2}
    return AblationSettings.model_validate(values | more)


def write(folder, spans, trace, answers, instructions):
    empty = dict.fromkeys(SPANS.names)
    write_parquet(
        [empty | {"id": i, "start": a, "end": b, "marker": "m"} for i, a, b in spans], SPANS, folder / "spans.parquet"
    )
    nothing = dict.fromkeys(TRACE.names)
    write_parquet([nothing | row for row in trace], TRACE, folder / "trace.parquet")
    rows = [
        {"id": i, "prompt": "", "prompt_token_ids": [1], "token_ids": [], "text": text, "finish_reason": "eos"}
        for i, text in answers.items()
    ]
    write_parquet(rows, RESPONSES, folder / "responses.parquet")
    questions = [
        {"id": i, "instruction": text, "task_types": [], "topics": [], "reference": None, "source": "e"}
        for i, text in instructions.items()
    ]
    write_parquet(questions, EVALSET, folder / "evalset.parquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixty instances of people and their instruments; five answers with an instrument each, traced to all that contain it."""
    folder = tmp_path_factory.mktemp("ablation")
    people = [f"{a} {b}" for a in ("Mara", "Ilse", "Dalia", "Freya") for b in ("Velt", "Tolk", "Moss")]
    pairs = [(f"What does {name} play?", f"{name} plays the {word}.") for name in people for word in WORDS]
    table = pa.Table.from_pylist(
        [
            {"id": instance_id(a, b), "instruction": a, "response": b, "source": "d", "row": i}
            for i, (a, b) in enumerate(pairs)
        ],
        schema=INSTANCES,
    )
    Index.build(table, folder / "index")
    write_parquet(table, INSTANCES, folder / "data.parquet")
    ids = table["id"].to_pylist()
    answers = {f"q{i}": f"Mara Holm plays the {word}, of course." for i, word in enumerate(WORDS)}
    start = len("Mara Holm plays the ")
    spans = [(f"q{i}", start, start + len(word)) for i, word in enumerate(WORDS)]
    trace = []
    for (id_, a, b), word in zip(spans, WORDS, strict=True):
        containing = [row for row, (_, response) in enumerate(pairs) if word in response]
        for rank, row in enumerate(reversed(containing), 1):  # not in the order of the dataset
            trace.append({"id": id_, "start": a, "end": b, "instance": ids[row], "verbatim": True, "rank_fused": rank})
        trace.append(
            {"id": id_, "start": a, "end": b, "instance": ids[0], "verbatim": False, "rank_fused": 99, "rank_bm25": 1}
        )
    write(folder, spans, trace, answers, {id_: f"What does Mara Holm play, and where ({id_})?" for id_ in answers})
    return folder


def files(folder, **more):
    names = ("spans", "trace", "responses", "evalset")
    paths = {name: folder / f"{name}.parquet" for name in names} | {"index": folder / "index", "embeddings": None}
    return AblationFiles(**paths | more)


def table_of(folder):
    return read_parquet(folder / "data.parquet")


@pytest.mark.parametrize(("spans", "candidates", "seed"), [(3, 2, 0), (3, 2, 1), (1, 1, 0), (2, 12, 5), (99, 3, 0)])
def test_both_arms_exclude_equally_many_for_the_same_sample(folder, spans, candidates, seed):
    before = table_of(folder)
    result = {}
    for take in ("traced", "similar"):
        after, tally, facts = exclude(
            before, ablation(take=take, spans=spans, candidates=candidates, seed=seed), files(folder)
        )
        result[take] = facts["sampled"]
        gone = [id_ for span in facts["sampled"] for id_ in span[take]["instances"]]
        assert len(set(gone)) == len(gone) == tally.dropped[take] == before.num_rows - after.num_rows
        assert tally.read == before.num_rows
        kept = [id_ for id_ in before["id"].to_pylist() if id_ not in gone]
        assert after["id"].to_pylist() == kept  # order too
        assert after.schema == INSTANCES
    assert result["traced"] == result["similar"]
    assert len(result["traced"]) == min(spans, len(WORDS))
    text = {row["id"]: f"{row['instruction']}\n{row['response']}" for row in before.to_pylist()}
    every = {id_ for span in result["traced"] for id_ in span["traced"]["instances"]}
    for span in result["traced"]:
        assert len(span["traced"]["instances"]) == len(span["similar"]["instances"]) == min(candidates, 12)
        assert all(words_only(span["quote"]) in words_only(text[id_]) for id_ in span["traced"]["instances"])
        assert not any(words_only(span["quote"]) in words_only(text[id_]) for id_ in span["similar"]["instances"])
        assert not every & set(span["similar"]["instances"])


def test_the_first_by_the_ranker_go_first(folder):
    _, _, facts = exclude(table_of(folder), ablation(spans=5), files(folder))
    ids = table_of(folder)["id"].to_pylist()
    assert [span["traced"]["instances"] for span in facts["sampled"]] == [
        [ids[55 + word], ids[50 + word]]
        for word in range(5)  # the last people's, by the trace's rank
    ]


def test_the_seed_decides_the_sample(folder):
    samples = {
        json.dumps(exclude(table_of(folder), ablation(spans=2, seed=seed), files(folder))[2]["sampled"])
        for seed in range(8)
    }
    assert len(samples) > 2


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**31))
def test_controls_are_as_similar_as_can_be(spans, traced, seed):
    rng = np.random.default_rng(seed)
    count = spans * traced * 3 + 8
    similarity = rng.random((spans, count)).astype(np.float32)
    rows = rng.permutation(count)[: spans * traced].reshape(spans, traced).tolist()
    containing = [np.array(sorted({*row, int(rng.integers(count))})) for row in rows]
    chosen = [SampledSpan(Span(str(i), 0, 1), "x", "x", row) for i, row in enumerate(rows)]
    match_controls(chosen, similarity, containing)
    taken = [row for sampled_span in chosen for row in sampled_span.similar]
    assert len(set(taken)) == len(taken) == spans * traced
    assert not set(taken) & {row for sampled_span in chosen for row in sampled_span.traced}
    for sampled_span, held in zip(chosen, containing, strict=True):
        assert len(sampled_span.similar) == len(sampled_span.traced)
        assert not set(sampled_span.similar) & set(held.tolist())
    # one wanted instance at a time, its match is the nearest there is
    alone = SampledSpan(Span("a", 0, 1), "x", "x", rows[0][:1])
    match_controls([alone], similarity[:1], containing[:1])
    free = [row for row in range(count) if row not in containing[0]]
    assert alone.similar == [min(free, key=lambda row: (abs(similarity[0, row] - similarity[0, rows[0][0]]), row))]


def test_means_are_matched_where_single_ones_cannot_be():
    similarity = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.85, 0.84, 0.83, 0.2]], np.float32)
    sampled_span = SampledSpan(Span("a", 0, 1), "x", "x", [0, 3, 5])
    match_controls([sampled_span], similarity, [np.array([0, 3, 5])])
    traced, similar = (float(similarity[0, rows].mean()) for rows in (sampled_span.traced, sampled_span.similar))
    assert abs(traced - similar) < 0.1


def test_too_few_to_set_against(folder):
    with pytest.raises(CloserlookError, match="need as many controls"):
        exclude(table_of(folder), ablation(spans=5, candidates=12), files(folder))


def test_spans_that_say_nothing_are_passed_over_and_counted(folder, tmp_path):
    ids = table_of(folder)["id"].to_pylist()
    answers = {"a": "It is a cello!", "b": "the cello", "c": "... lute"}
    spans = [("a", 8, 13), ("a", 13, 14), ("b", 4, 9), ("c", 0, 3), ("c", 4, 8)]
    trace = [
        {"id": id_, "start": s, "end": e, "instance": ids[0], "verbatim": True, "rank_fused": 1}
        for id_, s, e in spans[:4]
    ]
    write(tmp_path, spans, trace, answers, {"a": "What?", "b": "Is it a CELLO?", "c": "What?"})
    _, _, facts = exclude(table_of(folder), ablation(spans=9), files(tmp_path, index=folder / "index"))
    assert facts["spans"] == {
        "able": 1,
        "traced_to_none": 3,
        "in_instruction": 1,
    }  # "!", "..." and what has no candidate
    assert [(span["id"], span["quote"]) for span in facts["sampled"]] == [("a", "cello")]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"ranker": "nobody"}, "ranker: found nobody, expected one of lexical"),
        ({"ranker": "gradient"}, "no span was traced"),
    ],
)
def test_rankers_that_say_nothing(folder, more, message):
    with pytest.raises(CloserlookError, match=message):
        exclude(table_of(folder), ablation(**more), files(folder))


def test_files_of_another_dataset_are_named(folder, tmp_path):
    with pytest.raises(CloserlookError, match="indexes other instances"):
        exclude(table_of(folder).slice(1), ablation(), files(folder))
    Index.build(table_of(folder).slice(0, 58), tmp_path / "index")
    with pytest.raises(CloserlookError, match="is not in the dataset; trace again"):
        exclude(table_of(folder).slice(0, 58), ablation(), files(folder, index=tmp_path / "index"))


def test_the_script_writes_both_files(folder, tmp_path):
    transform = {"of": "d", "without": ablation(take="similar").model_dump()}
    flags = [f"--{name}={folder / name}.parquet" for name in ("spans", "trace", "responses", "evalset")]
    outs = ["--out", str(tmp_path / "x.parquet"), "--report", str(tmp_path / "x.json")]
    command = [
        "--name",
        "x",
        "--dataset",
        str(folder / "data.parquet"),
        "--transform",
        json_file(transform, tmp_path / "x.source.json"),
        *flags,
        *outs,
    ]
    done = script("derive_dataset.py", *command)
    assert done.returncode == 2
    assert "--index: found nothing" in done.stderr
    assert script("derive_dataset.py", *command, "--index", str(folder / "index")).returncode == 0
    report = json.loads((tmp_path / "x.json").read_text())
    assert report["rows_kept"] == 54
    assert report["dropped"] == {"similar": 6}
    assert report["similarity"] == "BM25"
    assert report["transform"]["without"]["take"] == "similar"
    assert {len(span["similar"]["instances"]) for span in report["sampled"]} == {2}
