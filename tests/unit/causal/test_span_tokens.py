"""The tokens of a span of characters, and phrases found as whole words."""

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.tiny_models import byte_tokenizer

from closerlook.core.errors import CloserlookError
from closerlook.core.files import write_parquet
from closerlook.core.schemas import SPANS
from closerlook.core.scripts import parse_named_paths
from closerlook.models.token_text import decode, token_starts
from closerlook.spans.inputs import Span, read_marked_responses, token_range, words_only

TOKENIZER = byte_tokenizer()
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40) | st.sampled_from(
    ["é👩‍👩‍👧‍👦 x", "e\u0301\u0302", "שלום עולם", "a\0b", ".*[x]$", "日本語"]
)


@settings(deadline=None)
@given(texts, st.data())
def test_a_span_lies_in_the_tokens_whose_bytes_are_its_characters(text, data):
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    if decode(TOKENIZER, ids) != text:
        return  # a name of a special token: the text is then not what the tokens say
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    actual = token_range(token_starts(TOKENIZER, ids), len(text), start, end)
    pieces = [TOKENIZER.backend_tokenizer.id_to_token(id_) for id_ in ids]  # a character of these is a byte of the text
    first, last = len(text[:start].encode()), len(text[:end].encode())
    position, expected = 0, []
    for token, piece in enumerate(pieces):
        if position < last and position + len(piece) > first:
            expected.append(token)
        position += len(piece)
    assert list(actual) == expected


def test_no_tokens_no_places():
    assert list(token_range([], 0, 0, 1)) == []
    assert list(token_range([0, 3], 6, 3, 6)) == [1]
    assert list(token_range([0, 3, 3, 3], 4, 3, 4)) == [1, 2, 3]  # bytes of one character


@pytest.mark.parametrize(
    ("phrase", "text", "held"),
    [
        ("cello", "She plays the CELLO.", True),
        ("cell", "She plays the cello.", False),
        ("the cello", "the (cello)", True),
        (".*", "anything", True),  # no words at all
        ("a.c", "abc", False),
        ("straße", "STRASSE", True),
    ],
)
def test_words_are_found_whole(phrase, text, held):
    assert (words_only(phrase) in words_only(text)) == held


def spans_file(path, spans):
    empty = dict.fromkeys(SPANS.names)
    write_parquet([empty | span | {"marker": "m"} for span in spans], SPANS, path)
    return path


def responses_file(path, texts_):
    import pyarrow as pa

    pq.write_table(pa.table({"id": list(texts_), "text": list(texts_.values())}), path)
    return path


def test_rows_without_a_span_and_repetitions_are_left_out(tmp_path):
    span = {"id": "a", "start": 0, "end": 2}
    file = spans_file(
        tmp_path / "s.parquet", [span, {"id": "a", "null_cause": "unaligned"}, span, {"id": "b", "start": 1, "end": 2}]
    )
    answers = responses_file(tmp_path / "r.parquet", {"c": "x", "b": "xy", "a": "xyz"})
    assert [(row["id"], spans) for row, spans in read_marked_responses(file, answers)] == [
        ("a", [Span("a", 0, 2)]),
        ("b", [Span("b", 1, 2)]),
    ]


@pytest.mark.parametrize("span", [(0, 5), (2, 2), (-1, 1)])
def test_a_span_outside_its_response_is_named(tmp_path, span):
    file = spans_file(tmp_path / "s.parquet", [{"id": "a", "start": span[0], "end": span[1]}])
    answers = responses_file(tmp_path / "r.parquet", {"a": "xyz"})
    with pytest.raises(CloserlookError, match="of a, a response of 3 characters"):
        list(read_marked_responses(file, answers))
    with pytest.raises(CloserlookError, match="span of a, which has no response"):
        list(read_marked_responses(file, responses_file(tmp_path / "q.parquet", {"b": "xyz"})))


def test_names_and_paths():
    assert {name: str(path) for name, path in parse_named_paths(["sft=a/b=c", "lft=d"], "--models").items()} == {
        "sft": "a/b=c",
        "lft": "d",
    }
    for wrong in (["sft"], ["=x"], ["sft="], ["a=b", "a=c"]):
        with pytest.raises(CloserlookError, match="--models"):
            parse_named_paths(wrong, "--models")
