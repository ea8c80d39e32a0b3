"""The table of the causal test: against brute force, and with what is missing."""

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.grid import grid_row

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import RESPONSES
from closerlook.report.tables.ablation import measure_ablation, units_of
from closerlook.report.tables.registry import TABLES
from closerlook.stats.seeds import pool

ABLATION = TABLES["ablation"]
IDS = "abcdef"
WORDS = ["cello", "lute", "harp", "drum"]
TRAININGS = {"base": 1, "again": 2, "traced": 3, "half": 1, "similar": 2, "other": 2}


def answers(path, found):
    some = {"prompt": "", "prompt_token_ids": [1], "token_ids": [], "finish_reason": "eos"}
    write_parquet([some | {"id": id_, "text": text} for id_, text in found.items()], RESPONSES, path)
    return path


def report(path, spans, left_out=2):
    sampled = [
        {"id": id_, "start": 0, "end": 1, "quote": quote, "instances": ["x"] * left_out, "similarity": [0.25, 0.75]}
        | {"stated_before": 5, "stated_after": 5 - left_out}
        for id_, quote in spans
    ]
    path.write_text(json.dumps({"sampled": sampled, "characters_left_out": 0.125}))
    return path


def models(folder, spans, said, alternatives=3):
    """The models of a test, as the table gets them. said: by side, what each training answers to IDS."""
    sample = report(folder / "r.json", spans)
    return [
        (
            {"side": side, "alternatives": alternatives, "cell": f"{side}-{number}"},
            [sample, answers(folder / f"{side}{number}.parquet", dict(zip(IDS, texts, strict=True)))],
        )
        for side, trainings in said.items()
        for number, texts in enumerate(trainings)
    ]


def measured(cells):
    return {
        (keys["side"], keys["said_by"], metric): (keys["seed"], estimate)
        for _, keys, metric, estimate in measure_ablation(cells)
    }


texts = st.lists(st.sampled_from([*WORDS, "cellos", "the", "."]), max_size=5).map(" ".join)
spans_of_answers = st.lists(
    st.tuples(st.sampled_from(IDS), st.sampled_from([*WORDS, "the cello"])), min_size=1, max_size=8
)
said_by_all = st.fixed_dictionaries(
    {
        side: st.lists(st.lists(texts, min_size=len(IDS), max_size=len(IDS)), min_size=number, max_size=number)
        for side, number in TRAININGS.items()
    }
)


def holds(quote, text):
    return f" {quote} " in f" {' '.join(text.replace('.', ' ').split())} "


@settings(deadline=None, max_examples=40)
@given(spans_of_answers, said_by_all)
def test_it_is_what_counting_gives(tmp_path_factory, spans, said):
    found = measured(models(tmp_path_factory.mktemp("ablation"), spans, said))
    returns = {
        side: np.array([[holds(quote, texts[IDS.index(id_)]) for id_, quote in spans] for texts in trainings], float)
        for side, trainings in said.items()
    }
    by_base, again = (returns[side].any(axis=0) for side in ("base", "again"))
    groups = {"any": by_base | ~by_base, "base": by_base, "again": again & ~by_base, "own": ~again & ~by_base}
    for group, members in groups.items():
        if not members.any():
            assert not [key for key in found if key[1] == group]
            continue
        assert found["traced", group, "spans"][1].value == members.sum()
        for side, models_ in returns.items():
            by_construction = (side == "base" and group != "any") or (side == "again" and group in ("again", "own"))
            assert ((side, group, "returned") in found) != by_construction
            if not by_construction:
                value = models_[:, members].mean()
                assert found[side, group, "returned"][1].value == pytest.approx(value)
                for treated in ("traced", "half"):
                    if side not in ("base", "traced", treated):
                        seed, difference = found[f"{side} - {treated}", group, "returned"]
                        assert difference.value == pytest.approx(value - returns[treated][:, members].mean())
                        assert (seed == "one training") == ("half" in (side, treated))
                        assert seed != "one training" or found[f"{side} - {treated}", group, "p"][1].value is None
    for side, trainings in said.items():
        elsewhere = [
            np.mean([holds(quote, text) for other, text in zip(IDS, texts, strict=True) if other != id_])
            for texts in trainings
            for id_, quote in spans
        ]
        seed, share = found[side, "any", "elsewhere"]
        assert share.value == pytest.approx(np.mean(elsewhere))
        assert (
            seed == {1: "one training", 2: "mean of 2", 3: "mean of 3"}[TRAININGS[side]] if side != "base" else not seed
        )
        assert found[side, "any", "stated"][1].value == {"base": 0, "again": 5}.get(side, 3)
    assert found["similar - traced", "any", "returned"][0] == "mean of 2 and 3"
    assert found["half", "any", "instances"][1].value == 2 * len(spans)
    assert found["other", "any", "characters"][1].value == 0.125
    assert found["similar", "any", "similarity"][1].value == pytest.approx(0.5)
    assert found["traced", "any", "returned"][1].n == len(set(units_of(named(spans)).tolist()))


def named(spans):
    return [{"id": id_, "quote": quote} for id_, quote in spans]


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("stuvwxyz")), min_size=1, max_size=12))
def test_units_are_connected_by_words_and_by_responses(spans):
    units = units_of(named(spans))
    connected = np.array([[a[0] == b[0] or a[1] == b[1] for b in spans] for a in spans])
    for _ in spans:
        connected = connected @ connected
    assert all((units[i] == units[j]) == connected[i, j] for i, j in product(range(len(spans)), repeat=2))
    assert sorted(set(units.tolist())) == list(range(len(set(units.tolist()))))


def test_spans_with_the_same_words_are_one_value(tmp_path):
    """Six spans of two values say no more about other values than two."""
    spans = [(id_, "cello" if number < 3 else "a LUTE") for number, id_ in enumerate(IDS)]
    said = {"traced": [["cello"] * 6] * 2, "similar": [["a lute, a cello"] * 6] * 2}
    found = measured(models(tmp_path, spans, said))
    share = found["traced", "any", "returned"][1]
    assert (share.value, share.n) == (0.5, 2)
    assert (share.low, share.high) == pytest.approx((0.0, 1.0), abs=0.02)
    difference = found["similar - traced", "any", "returned"][1]
    assert difference.low < 0 < difference.value < difference.high
    assert found["similar - traced", "any", "p"][1].value > 0.3


def test_a_mean_over_trainings_is_the_pooled_one(tmp_path):
    spans = list(zip(IDS, [*WORDS, "horn", "tuba"], strict=True))
    rng = np.random.default_rng(0)
    said = {
        side: [[quote if rng.random() < chance else "" for _, quote in spans] for _ in range(3)]
        for side, chance in (("traced", 0.3), ("other", 0.8))
    }
    share = measured(models(tmp_path, spans, said))["other", "any", "returned"][1]
    alone = [
        measured(models(tmp_path, spans, {"other": [texts]}))["other", "any", "returned"][1] for texts in said["other"]
    ]
    assert share == pool(alone).estimate


def test_spans_are_not_told_apart_before_all_alternatives_have_answered(tmp_path):
    spans, said = [("a", "cello"), ("b", "lute")], {side: [["cello"] * 6] for side in ("base", "again", "traced")}
    groups = [
        {group for _, group, _ in measured(models(tmp_path, spans, said, alternatives))} for alternatives in (2, 3, 0)
    ]
    assert groups == [{"any", "base", "own"}, {"any"}, {"any"}]


def test_without_the_treated_arm_there_are_no_differences(tmp_path):
    found = measured(models(tmp_path, [("a", "cello")], {"similar": [["cello"] * 6], "again": [[""] * 6]}, 1))
    assert {side for side, _, _ in found} == {"similar", "again"}


def test_what_it_cannot_read_is_named(tmp_path):
    (cell,) = models(tmp_path, [("a", "cello")], {"traced": [["x"] * 6]})
    for text in ("{", "{}", '{"sampled": [{"id": "a"}]}', '{"sampled": [], "characters_left_out": 0}', "[]"):
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(CloserlookError, match=r"r\.json: .*again"):
            list(measure_ablation([cell]))
    report(tmp_path / "r.json", [("z", "cello")])
    with pytest.raises(CloserlookError, match="has no response to z"):
        list(measure_ablation([cell]))
    other = report(tmp_path / "other.json", [("a", "lute")])
    second = (cell[0] | {"side": "similar"}, [other, cell[1][1]])
    with pytest.raises(CloserlookError, match="samples other spans"):
        list(measure_ablation([cell, second]))


TEST = {"ablation_of": "m/d@8/sft-s2", "ablation_marker": "oracle", "ablation_sample": "20 spans"}


def arm(take, seed, **more):
    cell = f"m/d-{take}/sft-s{seed}"
    return grid_row(cell=cell, dataset=f"d-{take}", size=9, method="sft", seed=seed, evalset="e", ablated=take, **more)


GRID = [
    *(
        grid_row(
            cell=f"m/d@8/sft-s{seed}",
            dataset="d",
            size=8,
            method="sft",
            seed=seed,
            evalset="e",
            base_cell="m/none/base",
        )
        for seed in (2, 3)
    ),
    grid_row(cell="m/d@8/lft-s3", dataset="d", size=8, method="lft", seed=3, evalset="e"),
    grid_row(cell="m/d@8-d1/sft-s1", dataset="d", size=8, method="sft", seed=1, evalset="e"),
    grid_row(cell="m/d@8/sft-s4", dataset="d", size=8, method="sft", seed=4, evalset="other"),
    grid_row(cell="m/none/base", method="base", evalset="e"),
    *(arm(take, seed, **TEST) for take in ("traced", "similar") for seed in (1, 2)),
    arm("half", 1, **TEST | {"ablation_sample": "3 spans"}),
    arm("other", 1),
]


def test_it_reads_the_arms_the_base_and_what_was_trained_alike():
    """Not another method, another draw of the data, or answers to other questions; and each sample is a test of its own."""
    of_half = [f"cells/m/{cell}/e/responses.parquet" for cell in ("none/base", "d@8/sft-s3", "d-half/sft-s1")]
    of_both = [
        f"cells/m/{cell}/e/responses.parquet"
        for cell in ("none/base", "d@8/sft-s3", "d-traced/sft-s1", "d-traced/sft-s2")
    ] + [f"cells/m/d-similar/sft-s{seed}/e/responses.parquet" for seed in (1, 2)]
    calls = ABLATION.parts[0].calls(GRID)
    assert [[ABLATION.parts[0].paths(row)[1] for row in call] for call in calls] == [of_both, of_half]
    assert {path for path in ABLATION.inputs(GRID) if path.endswith("json")} == {
        f"data/d-{take}.report.json" for take in ("traced", "similar", "half")
    }
    assert {(row["dataset"], row["size"], row["method"], row["alternatives"]) for call in calls for row in call} == {
        ("d", 8, "sft", 2)
    }
    assert ABLATION.fits(GRID)
    assert not ABLATION.fits(GRID[:6])
    assert not ABLATION.inputs(GRID[:6])
