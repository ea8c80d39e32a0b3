"""Scores of all instances: against the texts, the traces, and fusion by hand."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from tests.support.borrowing import searched, stands

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import ATTRIBUTION, INSTANCE_SCORES, RANKERS
from closerlook.trace.candidates import trace
from closerlook.trace.instance_scores import fuse_scores, score_instances
from closerlook.trace.marked import MarkedResponses, SpanKey, read_attribution
from closerlook.trace.passages import Passages

PAIRS = [
    ("Who built the crane?", "The crane was built by Norvik."),
    ("What plays Ilse?", "Ilse plays the lute."),
    ("Who built the mill?", "The mill was built by Pelham."),
    ("Name a maker.", "NORVIK"),
    ("Norviks?", "Nothing."),
]
TEXTS = ["The press was built by Norvik. Ask more.", "🙂 of it."]
SPANS = [(0, 23, 29), (1, 0, 1)]


def marked(attribution: Mapping[SpanKey, Mapping[str, float]] | None = None) -> MarkedResponses:
    passages = Passages.from_texts(["r0", "r1"], TEXTS)
    return MarkedResponses(passages, ["Who built the press?", "zzz"], SPANS, None, attribution or {})


@pytest.mark.parametrize("embed", [False, True])
def test_scores_are_those_that_the_texts_and_the_traces_have(tmp_path: Path, embed: bool) -> None:
    data = searched(PAIRS, tmp_path, embed=embed)
    table = score_instances(marked(), data)
    assert table.schema == INSTANCE_SCORES
    first, second = table.to_pylist()
    assert [(row["id"], row["start"], row["end"]) for row in (first, second)] == [("r0", 23, 29), ("r1", 0, 1)]
    assert first["lexical"] == [float(stands(["norvik"], [pair])) for pair in PAIRS] == [1, 0, 0, 1, 0]
    assert second["lexical"] == [0] * len(PAIRS), "a span without words is in no instance"
    assert (first["semantic"] is not None) == embed
    assert first["gradient"] is None
    traced = [row for row in trace(marked(), data, 5, 0).to_pylist() if row["id"] == "r0"]
    assert len(traced) > 2
    for row in traced:
        number = data.index.ids.index(row["instance"])
        assert first["bm25"][number] == pytest.approx(row["bm25"] or 0)
        if embed:
            assert first["semantic"][number] == pytest.approx(row["semantic"])
    names = [name for name in RANKERS if name != "fused" and first[name] is not None]
    assert first["fused"] == pytest.approx(fuse_scores([np.array(first[name]) for name in names]))


def test_influences_are_by_instance_and_may_be_below_zero(tmp_path: Path) -> None:
    data = searched(PAIRS, tmp_path)
    ids = data.index.ids
    rows = [
        {"id": "r0", "start": 23, "end": 29, "instance": ids[number], "score": score, "rank": rank}
        for rank, (number, score) in enumerate([(2, 3.0), (0, 1.0), (4, -2.0)], 1)
    ]
    write_parquet(rows[::-1], ATTRIBUTION, tmp_path / "a.parquet")
    attribution = read_attribution(tmp_path / "a.parquet")
    assert list(attribution["r0", 23, 29]) == [ids[2], ids[0], ids[4]], "best first"
    first, second = score_instances(marked(attribution=attribution), data).to_pylist()
    assert first["gradient"] == [1, 0, 3, 0, -2]
    assert second["gradient"] is None, "no gradients were taken of this span"
    with pytest.raises(CloserlookError, match=r"elsewhere.* data;"):
        score_instances(marked(attribution={("r0", 23, 29): {"elsewhere": 1.0}}), data)


def test_fusion_by_hand() -> None:
    fused = fuse_scores([np.array([1.0, 0.0, 1.0, 0.0]), np.array([5.0, 2.0, 0.0, -3.0])])
    assert fused == pytest.approx([1 / 61.5 + 1 / 61, 1 / 62, 1 / 61.5, 0])
    assert not fuse_scores([np.zeros(3), -np.ones(3)]).any()
