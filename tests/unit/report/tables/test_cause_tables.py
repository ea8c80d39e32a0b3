"""The tables of causes against brute force."""

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.grid import grid_row

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import EVALSET, LIKELIHOOD, RESPONSES, SPANS
from closerlook.report.tables import ablation, likelihood, paraphrase
from closerlook.report.tables.registry import TABLES

CAUSE = {name: TABLES[name] for name in ("ablation", "paraphrase", "likelihood")}

WORDS = ["cello", "lute", "harp", "drum"]


def answers(path, found):
    some = {"prompt": "", "prompt_token_ids": [1], "token_ids": [], "finish_reason": "eos"}
    write_parquet([some | {"id": id_, "text": text} for id_, text in found.items()], RESPONSES, path)
    return path


def asked(path, found):
    some = {"task_types": [], "topics": [], "reference": None, "source": "e"}
    write_parquet([some | {"id": id_, "instruction": text} for id_, text in found.items()], EVALSET, path)
    return path


def report(path, spans):
    side = {"instances": ["x", "y"], "similarity": [0.25, 0.75]}
    sampled = [
        {"id": id_, "start": 0, "end": 1, "quote": quote, "traced": side, "similar": side} for id_, quote in spans
    ]
    path.write_text(json.dumps({"sampled": sampled}))
    return path


def measured(found):
    return {(*keys.values(), metric): estimate for keys, metric, estimate in found}


texts = st.lists(st.sampled_from([*WORDS, "cellos", "the", "."]), max_size=5).map(" ".join)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([*WORDS, "the cello"])), min_size=1, max_size=7),
    st.lists(st.lists(texts, min_size=4, max_size=4), min_size=3, max_size=3),
)
def test_ablation_is_what_counting_gives(tmp_path_factory, spans, said):
    folder = tmp_path_factory.mktemp("ablation")
    cells = [dict(zip("abcd", found, strict=True)) for found in said]
    files = [answers(folder / f"{n}.parquet", cell) for n, cell in enumerate(cells)]
    found = measured(ablation.measure_ablation(report(folder / "r.json", spans), *files))

    def holds(quote, text):
        return f" {quote} " in f" {' '.join(text.replace('.', ' ').split())} "

    values = {}
    for side, cell in zip(("original", "traced", "similar"), cells, strict=True):
        values[side] = [holds(quote, cell[id_]) for id_, quote in spans]
        assert found[side, "returned"].value == pytest.approx(np.mean(values[side]))
        elsewhere = [
            np.mean([holds(quote, text) for other, text in cell.items() if other != id_]) for id_, quote in spans
        ]
        assert found[side, "elsewhere"].value == pytest.approx(np.mean(elsewhere))
    difference = np.array(values["similar"], float) - np.array(values["traced"], float)
    share = found["difference", "returned"]
    assert share.value == pytest.approx(difference.mean())
    ids = sorted({id_ for id_, _ in spans})
    assert share.n == len(ids)
    sums = [sum(d for d, (id_, _) in zip(difference, spans, strict=True) if id_ == one) for one in ids]
    turned = [abs(np.dot(signs, sums)) >= abs(sum(sums)) - 1e-9 for signs in product((1, -1), repeat=len(sums))]
    assert found["difference", "p"].value == pytest.approx(
        np.mean(turned)
    )  # every way of telling the sides apart wrongly
    assert found["original", "spans"].value == len(spans)
    assert found["traced", "instances"].value == 2 * len(spans)
    assert found["similar", "similarity"].value == pytest.approx(0.5)


def test_what_ablation_cannot_read_is_named(tmp_path):
    files = [answers(tmp_path / f"{n}.parquet", {"a": "x"}) for n in range(3)]
    for text in ("{", "{}", '{"sampled": [{"id": "a"}]}', '{"sampled": []}', "[]"):
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(CloserlookError, match=r"r\.json: .*again"):
            list(ablation.measure_ablation(tmp_path / "r.json", *files))
    with pytest.raises(CloserlookError, match="has no response to b"):
        list(ablation.measure_ablation(report(tmp_path / "r.json", [("b", "cello")]), *files))


def span_file(path, found):
    write_parquet(
        [dict.fromkeys(SPANS.names) | {"id": i, "start": a, "end": b, "marker": "m"} for i, a, b in found], SPANS, path
    )
    return path


def of_paraphrases(folder, spans, responses, questions, worded, answered):
    return measured(
        paraphrase.measure_paraphrases(
            span_file(folder / "s.parquet", spans),
            answers(folder / "r.parquet", responses),
            asked(folder / "e.parquet", questions),
            answers(folder / "a.parquet", answered),
            asked(folder / "w.parquet", worded),
        )
    )


def test_paraphrases_are_counted_by_hand(tmp_path):
    found = of_paraphrases(
        tmp_path,
        [("a", 0, 5), ("a", 6, 10), ("b", 0, 4), ("b", 4, 5)],  # cello; lute; harp, which b asks for; a full stop
        {"a": "cello lute", "b": "harp."},
        {"a": "Which?", "b": "A harp?", "c": "?"},
        {"a/p1": "What?", "a/p2": "A lute, or what?", "b/p1": "x", "c/p1": "y", "c/p2": "cello"},
        {"a/p1": "A CELLO.", "a/p2": "no cellos", "b/p1": "lute", "c/p1": "cello", "c/p2": "cello"},
    )
    # cello in a/p1 (yes), a/p2 (no); lute in a/p1 (no), not asked in a/p2, which holds it
    assert found["pairs",].value == 3
    assert found["left_out",].value == 1 + 1 + 1
    assert found["returned",].value == pytest.approx(1 / 3)
    # elsewhere, cello: of b/p1, c/p1 (c/p2 asks for it) the second; lute: of b/p1, c/p1, c/p2 the first
    elsewhere = (2 * (1 / 2) + 1 / 3) / 3
    assert found["elsewhere",].value == pytest.approx(elsewhere)
    assert found["difference",].value == pytest.approx(1 / 3 - elsewhere)
    assert found["returned",].n == 1


def test_paraphrases_of_nothing(tmp_path):
    empty = of_paraphrases(tmp_path, [], {"a": "x"}, {"a": "y"}, {"a/p1": "z"}, {"a/p1": "x"})
    assert empty["returned",].value is None
    assert empty["pairs",].value == 0
    alone = of_paraphrases(tmp_path, [("a", 0, 1)], {"a": "x"}, {"a": "y"}, {"a/p1": "z"}, {"a/p1": "x"})
    assert alone["returned",].value == 1
    assert alone["elsewhere",].value is alone["difference",].value is None  # there is no other instruction
    with pytest.raises(CloserlookError, match="answers no question"):
        of_paraphrases(tmp_path, [], {"a": "x"}, {"a": "y"}, {"a/p1": "z"}, {"a/p2": "x"})


def rows(id_, start, **log_probs):
    some = {"id": id_, "start": start, "end": None if start is None else start + 1}
    return [some | {"model": name, "tokens": tokens, "log_prob": value} for name, (tokens, value) in log_probs.items()]


def test_likelihood_is_per_token_and_paired(tmp_path):
    found = [
        *rows("a", 0, base=(2, -4.0), sft=(2, -1.0)),
        *rows("a", 4, base=(1, -2.0), sft=(1, -1.0)),
        *rows("a", None, base=(5, -5.0), sft=(5, -5.0)),
        *rows("b", 0, base=(3, -3.0), sft=(3, -4.0)),
        *rows("b", None, base=(0, 0.0), sft=(0, 0.0)),
    ]
    write_parquet(found, LIKELIHOOD, tmp_path / "l.parquet")
    table = measured(likelihood.measure_likelihood(tmp_path / "l.parquet"))
    assert table["base", "span", "log_prob"].value == pytest.approx(-9 / 6)
    assert table["sft", "span", "log_prob"].value == pytest.approx(-6 / 6)
    assert table["sft", "span", "difference"].value == pytest.approx(3 / 6)
    assert table["sft", "rest", "difference"].value == 0
    assert table["sft", "rest", "log_prob"][3:] == (1, 1)  # b has no tokens outside of its spans
    assert ("base", "span", "difference") not in table
    assert table["sft", "span", "tokens"].value == 6
    write_parquet([], LIKELIHOOD, tmp_path / "none.parquet")
    assert measured(likelihood.measure_likelihood(tmp_path / "none.parquet")) == {}
    write_parquet(found[:-1], LIKELIHOOD, tmp_path / "torn.parquet")
    write_parquet([*found[:3], *found[4:]], LIKELIHOOD, tmp_path / "torn.parquet")
    with pytest.raises(CloserlookError, match="different tokens"):
        list(likelihood.measure_likelihood(tmp_path / "torn.parquet"))


CELL = {"method": "sft", "evalset": "e", "markers": ["oracle", "judge"]}
GRID = [
    grid_row(**CELL, cell="m/d@8/sft", dataset="d", size=8, peers=["lft", "sft"], paraphrased=["p"]),
    grid_row(**CELL, cell="m/none/base"),
    grid_row(
        cell="m/d-without/sft",
        dataset="d-without",
        method="sft",
        evalset="e",
        ablation_of="m/d@8/sft",
        ablation_control="m/d-control/sft",
        ablation_marker="oracle",
    ),
]


def test_tables_name_their_files():
    assert CAUSE["ablation"].inputs(GRID) == [
        "data/d-without.report.json",
        "cells/m/d@8/sft/e/responses.parquet",
        "cells/m/d-without/sft/e/responses.parquet",
        "cells/m/d-control/sft/e/responses.parquet",
    ]
    assert CAUSE["likelihood"].inputs(GRID) == [
        f"cells/m/d@8/sft/e/likelihood/{m}.parquet" for m in ("oracle", "judge")
    ]
    assert CAUSE["paraphrase"].inputs(GRID)[:5] == [
        "cells/m/d@8/sft/e/spans/oracle.parquet",
        "cells/m/d@8/sft/e/responses.parquet",
        "evalsets/e.parquet",
        "cells/m/d@8/sft/p/responses.parquet",
        "evalsets/p.parquet",
    ]
    for name, shown in (("ablation", GRID[2:]), ("likelihood", GRID[:1]), ("paraphrase", GRID[:1])):
        assert CAUSE[name].fits(shown)
        assert not CAUSE[name].fits(GRID[1:2])
    plain = [grid_row(dataset="d")]
    assert not any(table.fits(plain) or table.inputs(plain) for table in CAUSE.values())
