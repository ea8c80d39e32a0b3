"""Spans marked by people: both formats, majorities compared with a brute-force count, malformed files."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from closerlook.core.errors import CloserlookError
from closerlook.core.files import sha256, write_parquet
from closerlook.core.schemas import SPANS
from closerlook.spans.human import majority_spans, mark_by_people, read
from closerlook.spans.marks import MarkedSpan, Response

CELL, EVALSET = "m/d@1k/sft", "e"
PLACE = {"cell": CELL, "evalset": EVALSET}
TEXT = "😀 Paris is in 1912 AD."
RESPONSES = [Response("7", "", TEXT), Response("8", "", "Fine."), Response("9", "", "Nobody looked.")]
SPAN = PLACE | {"id": "7", "start": 2, "end": 7, "kind": "not factual", "origin": "abc"}


def export(path: Path, value: Any, name: str = "ann.json") -> Path:
    (path / name).write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path / name


def page(annotations: list, inspected: list, annotator: str = "ann", **more: Any) -> dict[str, Any]:
    return {"version": 1, "annotator": annotator, "annotations": annotations, "inspected": inspected} | more


def test_json_and_csv_say_the_same(tmp_path: Path) -> None:
    elsewhere = SPAN | {"cell": "other", "id": "1000", "end": 10**6}  # of another cell, where it may be right
    value = page([SPAN | {"start": 14, "end": 18, "origin": None}, SPAN, elsewhere], [PLACE | {"id": "8"}])
    as_json = mark_by_people(RESPONSES, export(tmp_path, value), CELL, EVALSET)
    lines = ["cell,evalset,id,start,end,kind,origin", f"{CELL},e,7,14,18,not factual,", f"{CELL},e,8,,,,", ""]
    lines.insert(2, f"{CELL},e,7,2,7,not factual,abc")
    as_csv = mark_by_people(RESPONSES, export(tmp_path, "\ufeff" + "\r\n".join(lines), "ann.csv"), CELL, EVALSET)
    assert [row | {"marker": ""} for row in as_json] == [row | {"marker": ""} for row in as_csv]
    assert [(row["id"], row["quote"], row["origin"], row["null_cause"]) for row in as_json] == [
        ("7", "Paris", "abc", None),
        ("7", "1912", None, None),
        ("9", None, None, "not marked"),
    ]
    assert {row["marker"] for row in as_json} == {f"human/ann@{sha256(tmp_path / 'ann.json')[:8]}"}
    write_parquet(as_json, SPANS, tmp_path / "spans.parquet")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"id": "70"}, "annotations 1: found id '70', expected the id of a response of m/d@1k/sft on e"),
        ({"end": 23}, "annotations 1: found end 23, expected at most 22, the length"),
        ({"end": 10**30}, "found end 1000000"),
        ({"start": 7}, "found start 7, end 7, expected whole numbers, 0 <= start < end"),
        ({"start": -1}, "found start -1"),
        ({"start": 2.0}, "found start 2.0"),
        ({"start": "2"}, "found start '2'"),
        ({"start": True}, "found start True"),
        ({"start": None}, "found start None"),
        (
            {"kind": "not usefull"},
            "found kind 'not usefull', expected one of not factual, not useful; did you mean not useful?",
        ),
        ({"kind": None}, "found kind None"),
        ({"kind": ["not useful"]}, "found kind"),
        ({"origin": 7}, "found origin 7, expected an instance's id, none or null"),
        ({"cell": ""}, "found cell '', expected a name"),
        ({"evalset": None}, "found evalset None"),
        ({"id": 7}, "found id 7"),
    ],
)
def test_wrong_annotations_are_refused(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(CloserlookError) as error:
        mark_by_people(RESPONSES, export(tmp_path, page([SPAN | change], [])), CELL, EVALSET)
    assert told in str(error.value)
    assert "ann.json: annotations 1: " in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", "{", "cannot be read as JSON"),
        ("a.json", "[" * 100_000, "cannot be read as JSON"),
        ("a.json", '{"version": 2}', "found version 2, expected an object of version 1"),
        ("a.json", "[7]", "export 1, found int"),
        ("a.json", '{"version": 1, "annotations": {}}', "annotations: found dict, expected a list"),
        ("a.json", '{"version": 1, "annotations": [7]}', "annotations 1: found int, expected an object"),
        ("a.json", '{"version": 1, "annotations": []}', "found no annotation"),
        ("a.csv", "", "has no column cell, evalset, id, start, end, kind, found nothing"),
        ("a.csv", "cell,evalset,id,start,end\n", "has no column kind"),
        ("a.csv", "cell,evalset,id,start,end,kind\n", "found no annotation"),
        ("a.csv", "cell,evalset,id,start,end,kind\nm,e,7,2\n", "line 2: expected one value for each"),
        ("a.csv", "cell,evalset,id,start,end,kind\nm,e,7,2,7,not factual,x\n", "line 2: expected one value for each"),
        ("a.csv", "cell,evalset,id,start,end,kind\nm,e,7,2,,not factual\n", "line 2: found start 2, end ''"),
        (
            "a.csv",
            "cell,evalset,id,start,end,kind\nm,e,7,2," + "9" * 5000 + ",not useful\n",
            "line 2: found start 2, end '9",
        ),
        ("a.csv", 'cell,evalset,id,start,end,kind\nm,e,"7\x00', "line 2"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(CloserlookError) as error:
        read(export(tmp_path, text, name))
    assert told in str(error.value)
    (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CloserlookError, match="not UTF-8"):
        read(tmp_path / name)
    with pytest.raises(CloserlookError, match="cannot be read"):
        read(tmp_path / f"absent-{name}")


def test_an_export_without_any_list_is_empty_and_half_a_surrogate_is_stored(tmp_path: Path) -> None:
    value = page([SPAN | {"origin": "a\ud83d"}], [])
    (row,) = mark_by_people(RESPONSES[:1], export(tmp_path, value), CELL, EVALSET)
    assert row["origin"] == "a?"


def test_the_majority_of_those_who_looked_decides(tmp_path: Path) -> None:
    def mine(annotator: str, *spans: tuple[int, int, str], also: str = "") -> dict[str, Any]:
        rows = [SPAN | {"start": start, "end": end, "kind": kind} for start, end, kind in spans]
        return page(rows, [PLACE | {"id": "7"}, *([PLACE | {"id": also}] if also else [])], annotator)

    exports = [
        mine("a", (2, 10, "not useful"), (14, 18, "not factual")),
        mine("b", (2, 7, "not factual"), (14, 21, "not factual")),
        mine("c", (0, 7, "not useful"), also="8"),
    ]
    rows = mark_by_people(RESPONSES, export(tmp_path, exports), CELL, EVALSET)
    marked_quotes = [(row["id"], row["quote"], row["kind"]) for row in rows]
    assert marked_quotes == [("7", "Paris", "not useful"), ("7", "1912", "not factual"), ("9", None, None)]
    two = mark_by_people(RESPONSES[:1], export(tmp_path, exports[:2]), CELL, EVALSET)
    assert [row["quote"] for row in two] == ["Paris", "1912"]  # of two, what both marked
    unnamed = [export | {"annotator": ""} for export in exports]
    again = mark_by_people(RESPONSES, export(tmp_path, unnamed), CELL, EVALSET)
    assert [(row["id"], row["quote"], row["kind"]) for row in again] == marked_quotes  # they are three, not one


SPANS_ = st.lists(
    st.tuples(st.integers(0, 19), st.integers(1, 8), st.sampled_from(["not factual", "not useful"])), max_size=4
).map(lambda drawn: [MarkedSpan(start, min(start + size, 20), kind) for start, size, kind in drawn])


@settings(deadline=None)
@given(st.lists(SPANS_, min_size=2, max_size=5))
def test_majorities_are_counted_by_character(annotators: list[list[MarkedSpan]]) -> None:
    marked = majority_spans({str(i): spans for i, spans in enumerate(annotators)}, "x" * 20)
    votes = Counter(i for spans in annotators for i in {i for s in spans for i in range(s.start, s.end)})
    assert {i for span in marked for i in range(span.start, span.end)} == {
        i for i, count in votes.items() if count > len(annotators) / 2
    }
    assert all(a.end < b.start for a, b in pairwise(marked))


def test_a_file_about_other_cells_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = export(tmp_path, page([SPAN], []))
    rows = mark_by_people(RESPONSES, file, "m/d@1k/stf", EVALSET)
    assert {row["null_cause"] for row in rows} == {"not marked"}
    assert "has no annotation of m/d@1k/stf on e" in caplog.text
    assert "it has annotations of m/d@1k/sft on e" in caplog.text
