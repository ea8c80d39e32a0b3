"""The tables of causes against brute force."""

import pytest
from scipy.stats import binomtest
from tests.support.grid import grid_row

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import EVALSET, LIKELIHOOD, RESPONSES, SPANS
from closerlook.report.tables import likelihood, paraphrase
from closerlook.report.tables.registry import TABLES
from closerlook.stats.seeds import pool

CAUSE = {name: TABLES[name] for name in ("paraphrase", "likelihood")}


def answers(path, found):
    some = {"prompt": "", "prompt_token_ids": [1], "token_ids": [], "finish_reason": "eos"}
    write_parquet([some | {"id": id_, "text": text} for id_, text in found.items()], RESPONSES, path)
    return path


def asked(path, found):
    some = {"task_types": [], "topics": [], "reference": None, "source": "e"}
    write_parquet([some | {"id": id_, "instruction": text} for id_, text in found.items()], EVALSET, path)
    return path


def measured(found):
    return {(*keys.values(), metric): estimate for keys, metric, estimate in found}


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


def test_answers_in_which_all_spans_are_sought_are_no_independent_answers(tmp_path):
    """Half of the answers state everything: as uncertain as a share of 40 instructions, however many spans are sought in them."""
    values = ["cello", "lute", "harp", "viola", "oboe", "flute"]
    text = " ".join(values)
    ids = [f"q{number:02}" for number in range(40)]
    spans = [(id_, start := text.index(value), start + len(value)) for id_ in ids for value in values]
    said = {f"{id_}/p1": text if number % 2 else "no" for number, id_ in enumerate(ids)}
    questions = dict.fromkeys(ids, "Which?")
    found = of_paraphrases(tmp_path, spans, dict.fromkeys(ids, text), questions, dict.fromkeys(said, "What?"), said)
    elsewhere, exact = found["elsewhere",], binomtest(20, 40).proportion_ci(method="exact")
    assert elsewhere.value == pytest.approx(0.5)
    assert (elsewhere.low, elsewhere.high) == pytest.approx((exact.low, exact.high), abs=0.02)
    assert found["difference",].low < 0 < found["difference",].high


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
    responses = answers(tmp_path / "r.parquet", {"a": "x", "b": "y"})
    table = measured(likelihood.measure_likelihood(tmp_path / "l.parquet", responses))
    assert table["base", "span", "log_prob"].value == pytest.approx(-9 / 6)
    assert table["sft", "span", "log_prob"].value == pytest.approx(-6 / 6)
    assert table["sft", "span", "difference"].value == pytest.approx(3 / 6)
    assert table["sft", "rest", "difference"].value == 0
    assert table["sft", "rest", "log_prob"][3:] == (1, 1)  # b has no tokens outside of its spans
    assert ("base", "span", "difference") not in table
    assert table["sft", "span", "tokens"].value == 6
    write_parquet([], LIKELIHOOD, tmp_path / "none.parquet")
    assert measured(likelihood.measure_likelihood(tmp_path / "none.parquet", responses)) == {}
    write_parquet(found[:-1], LIKELIHOOD, tmp_path / "torn.parquet")
    write_parquet([*found[:3], *found[4:]], LIKELIHOOD, tmp_path / "torn.parquet")
    with pytest.raises(CloserlookError, match="different tokens"):
        list(likelihood.measure_likelihood(tmp_path / "torn.parquet", responses))


def test_trainings_whose_spans_are_in_other_responses_share_the_instructions_of_both(tmp_path):
    """As many responses have a span, but not the same ones: their first rows are of two instructions, not of one."""
    responses, spans = answers(tmp_path / "r.parquet", dict.fromkeys("abc", "x")), []
    for ids in ("ab", "bc"):
        found = [row for number, id_ in enumerate(ids) for row in rows(id_, 0, base=(2, -4.0), sft=(2, -1.0 - number))]
        write_parquet(found, LIKELIHOOD, tmp_path / f"{ids}.parquet")
        spans.append(measured(likelihood.measure_likelihood(tmp_path / f"{ids}.parquet", responses)))
    pooled = pool([each["sft", "span", "difference"] for each in spans])
    assert pooled
    assert pooled.estimate.units.counts.sum() == 3
    # b is half a nat per token below the mean of the first training and as much above that of the second; a and c are not
    assert pooled.response_variance == pytest.approx(3 / 2 * (0.0625**2 + 0 + 0.0625**2))


CELL = {"method": "sft", "evalset": "e", "markers": ["oracle", "judge"]}
GRID = [
    grid_row(**CELL, cell="m/d@8/sft", dataset="d", size=8, peers=["lft", "sft"], paraphrased=["p"]),
    grid_row(**CELL, cell="m/none/base"),
]


def test_tables_name_their_files():
    assert CAUSE["likelihood"].inputs(GRID) == [
        "cells/m/d@8/sft/e/likelihood/oracle.parquet",
        "cells/m/d@8/sft/e/responses.parquet",
        "cells/m/d@8/sft/e/likelihood/judge.parquet",
    ]
    assert CAUSE["paraphrase"].inputs(GRID)[:5] == [
        "cells/m/d@8/sft/e/spans/oracle.parquet",
        "cells/m/d@8/sft/e/responses.parquet",
        "evalsets/e.parquet",
        "cells/m/d@8/sft/p/responses.parquet",
        "evalsets/p.parquet",
    ]
    for table in CAUSE.values():
        assert table.fits(GRID[:1])
        assert not table.fits(GRID[1:])
    plain = [grid_row(dataset="d")]
    assert not any(table.fits(plain) or table.inputs(plain) for table in CAUSE.values())
