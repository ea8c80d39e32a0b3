"""All arms of the ablation have one sample, and controls leave out as many and as long instances; nothing else changes."""

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
from closerlook.derive.ablate import AblationFiles, exclude, match_controls
from closerlook.spans.inputs import words_only
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


@pytest.mark.parametrize(("spans", "candidates", "seed"), [(3, 2, 0), (3, 2, 1), (1, 1, 0), (2, 12, 5), (4, 3, 0)])
def test_all_arms_have_one_sample_and_leave_out_what_they_say(folder, spans, candidates, seed):
    before = table_of(folder)
    text = {row["id"]: words_only(f"{row['instruction']}\n{row['response']}") for row in before.to_pylist()}
    result = {}
    for take in ("traced", "half", "similar", "other") if candidates > 1 else ("traced", "similar", "other"):
        settings = ablation(take=take, spans=spans, candidates=candidates, seed=seed)
        if take == "other" and 12 * (len(WORDS) - spans) < spans * candidates:
            continue
        after, tally, facts = exclude(before, settings, files(folder))
        result[take] = facts["sampled"]
        gone = [id_ for span in facts["sampled"] for id_ in span["instances"]]
        assert len(set(gone)) == len(gone) == tally.dropped[take] == before.num_rows - after.num_rows
        assert tally.read == before.num_rows
        assert after["id"].to_pylist() == [id_ for id_ in before["id"].to_pylist() if id_ not in gone]  # order too
        assert after.schema == INSTANCES
        lengths = {row["id"]: len(row["response"]) for row in before.to_pylist()}
        assert facts["characters_left_out"] == pytest.approx(sum(map(lengths.get, gone)) / sum(lengths.values()))
        for span in facts["sampled"]:
            stating = {id_ for id_ in text if words_only(span["quote"]) in text[id_]}
            assert span["stated_before"] == len(stating) == 12
            assert span["stated_after"] == len(stating - {*gone})
            assert len(span["instances"]) == (candidates // 2 if take == "half" else candidates)
            assert {*span["instances"]} <= stating if take in ("traced", "half") else not {*span["instances"]} & stating
    asked = [[span[name] for name in ("id", "start", "end", "quote")] for span in result["traced"]]
    assert all(
        [[span[name] for name in ("id", "start", "end", "quote")] for span in each] == asked for each in result.values()
    )
    assert len(asked) == min(spans, len(WORDS))
    every = {id_ for span in result["traced"] for id_ in span["instances"]}
    for take, sampled in result.items():
        for span, treated in zip(sampled, result["traced"], strict=True):
            if take == "half":
                assert {*span["instances"]} < {*treated["instances"]}
            if take in ("similar", "other"):
                assert not every & {*span["instances"]}
    unsampled = [word for word in WORDS if word not in {span["quote"] for span in result["traced"]}]
    for span in result.get("other", ()):
        assert all(any(word in text[id_] for word in unsampled) for id_ in span["instances"])


def test_the_first_by_the_ranker_go_first(folder):
    _, _, facts = exclude(table_of(folder), ablation(spans=5), files(folder))
    ids = table_of(folder)["id"].to_pylist()
    assert [span["instances"] for span in facts["sampled"]] == [
        [ids[55 + word], ids[50 + word]]
        for word in range(5)  # the last people's, by the trace's rank
    ]


def test_the_seed_decides_the_sample_and_the_halves(folder):
    samples, halves = (
        {
            json.dumps(
                exclude(table_of(folder), ablation(take=take, spans=spans, candidates=9, seed=seed), files(folder))[2]
            )
            for seed in range(8)
        }
        for take, spans in (("traced", 2), ("half", 5))
    )
    assert len(samples) > 2
    assert len(halves) > 6


def test_an_instance_of_two_spans_is_left_out_once_for_the_first(folder, tmp_path):
    """Two answers with the same word, and one with another, whose traces overlap."""
    ids = table_of(folder)["id"].to_pylist()
    answers = {"a": "cello", "b": "cello", "c": "lute"}
    rows = {"a": [0, 5], "b": [5, 10, 0], "c": [1]}
    trace = [
        {"id": id_, "start": 0, "end": len(answers[id_]), "instance": ids[row], "verbatim": True, "rank_fused": rank}
        for id_, traced in rows.items()
        for rank, row in enumerate(traced, 1)
    ]
    spans = [(id_, 0, len(text)) for id_, text in answers.items()]
    write(tmp_path, spans, trace, answers, dict.fromkeys(answers, "What?"))
    of_both = files(tmp_path, index=folder / "index")
    traced, half = (
        exclude(table_of(folder), ablation(take=take, candidates=3), of_both)[2]["sampled"]
        for take in ("traced", "half")
    )
    assert [span["instances"] for span in traced] == [[ids[0], ids[5]], [ids[10]], [ids[1]]]
    assert [len(span["instances"]) for span in half] == [1, 0, 0], "half of one is none, so every value remains"
    with pytest.raises(CloserlookError, match="half: no sampled span has two instances"):
        exclude(table_of(folder), ablation(take="half", candidates=1), of_both)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**31))
def test_controls_are_as_near_as_can_be(spans, traced, seed):
    rng = np.random.default_rng(seed)
    count = spans * traced * 3 + 8
    features = [rng.random((spans, count)), np.broadcast_to(rng.lognormal(4, 1, count), (spans, count))]
    rows = rng.permutation(count)[: spans * traced].reshape(spans, traced).tolist()
    allowed = rng.random((spans, count)) < 0.9
    allowed[:, np.ravel(rows)] = False
    controls = match_controls(rows, features, allowed)
    taken = [row for found in controls for row in found]
    assert len(set(taken)) == len(taken) == spans * traced
    assert all(len(found) == traced and allowed[span, found].all() for span, found in enumerate(controls))
    # one wanted instance at a time, its match is the nearest there is
    wanted = rows[0][0]
    (alone,) = match_controls([[wanted]], [each[:1] for each in features], allowed[:1])

    def distance(row):
        return sum(abs(each[0, row] - each[0, wanted]) / each[:1].std() for each in features)

    assert alone == [min(np.flatnonzero(allowed[0]), key=lambda row: (distance(row), row))]


def test_means_are_matched_where_single_ones_cannot_be():
    similarity = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.85, 0.84, 0.83, 0.2]])
    allowed = np.ones((1, 10), bool)
    allowed[0, [0, 3, 5]] = False
    (similar,) = match_controls([[0, 3, 5]], [similarity], allowed)
    assert abs(similarity[0, similar].mean() - similarity[0, [0, 3, 5]].mean()) < 0.1


@pytest.mark.parametrize("seed", range(5))
def test_controls_of_long_instances_are_as_long_in_all(seed):
    """Traced instances are longer by half, and more similar: doses agree within 2%, similarity within 0.1 sd."""
    rng = np.random.default_rng(seed)
    spans, count = 20, 1000
    rows = rng.permutation(count)[: spans * 10].reshape(spans, 10).tolist()
    lengths, similarity = rng.lognormal(4, 0.7, count), rng.random((spans, count))
    lengths[np.ravel(rows)] *= 1.5
    similarity[np.arange(spans)[:, None], rows] += 0.2
    allowed = np.ones((spans, count), bool)
    allowed[:, np.ravel(rows)] = False
    controls = match_controls(rows, [similarity, np.broadcast_to(lengths, similarity.shape)], allowed)
    assert lengths[np.ravel(controls)].sum() == pytest.approx(lengths[np.ravel(rows)].sum(), rel=0.02)
    means = [np.mean([similarity[span, found].mean() for span, found in enumerate(each)]) for each in (rows, controls)]
    assert abs(means[0] - means[1]) < 0.1 * similarity.std()


@pytest.mark.parametrize("take", ["similar", "other"])
def test_too_few_to_set_against(folder, take):
    with pytest.raises(CloserlookError, match="need as many controls"):
        exclude(table_of(folder), ablation(take=take, spans=5, candidates=12), files(folder))


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
    assert {len(span["instances"]) for span in report["sampled"]} == {2}
