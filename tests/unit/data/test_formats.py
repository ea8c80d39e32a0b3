"""Every format of instruction data, valid and malformed."""

from typing import get_args

import pytest

from closerlook.config.catalog import Format
from closerlook.data.formats import FORMATS, MalformedError, Turn, read_turn


def test_the_catalog_offers_exactly_these_formats():
    assert set(get_args(Format)) == set(FORMATS)


@pytest.mark.parametrize(
    ("format_", "record", "expected"),
    [
        ("alpaca", {"instruction": "Do", "input": "", "output": "Done"}, Turn("Do", "Done")),
        ("alpaca", {"instruction": " Do\n", "input": " it ", "output": "\nDone "}, Turn("Do\n\nit", "Done")),
        ("alpaca", {"instruction": "Do", "output": "Done"}, Turn("Do", "Done")),
        ("alpaca", {"instruction": "Do", "input": None, "output": "Done", "text": 3}, Turn("Do", "Done")),
        (
            "alpaca",
            {"instruction": "Do", "input": "<noinput>", "output": "Done"},
            Turn("Do", "Done", ("input_placeholder",)),
        ),
        (
            "alpaca",
            {"instruction": "Do", "input": " <No Input> ", "output": "Done"},
            Turn("Do", "Done", ("input_placeholder",)),
        ),
        (
            "alpaca",
            {"instruction": "Do", "input": "No input required.", "output": "D"},
            Turn("Do", "D", ("input_placeholder",)),
        ),
        ("alpaca", {"instruction": "Do", "input": "see <noinput>", "output": "D"}, Turn("Do\n\nsee <noinput>", "D")),
        ("alpaca", {"instruction": "Do", "input": "no inputting", "output": "D"}, Turn("Do\n\nno inputting", "D")),
        ("alpaca", {"instruction": " ", "input": "context alone", "output": "Done"}, Turn("", "Done")),
        (
            "dolly",
            {"instruction": "Do", "context": "it", "response": "Done", "category": "qa"},
            Turn("Do\n\nit", "Done"),
        ),
        ("dolly", {"instruction": "Do", "input": "it", "output": "Done", "category": "qa"}, Turn("Do\n\nit", "Done")),
        ("prompt_completion", {"prompt": "Do", "completion": "Done"}, Turn("Do", "Done")),
    ],
)
def test_flat_formats(format_, record, expected):
    assert read_turn(record, format_) == expected


def messages(*pairs):
    return {"messages": [{"role": role, "content": content} for role, content in pairs]}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (messages(("user", "Do"), ("assistant", "Done")), Turn("Do", "Done")),
        (messages(("system", "Be kind."), ("user", "Do"), ("assistant", "Done")), Turn("Be kind.\n\nDo", "Done")),
        (messages(("system", ""), ("user", "Do"), ("assistant", "Done")), Turn("Do", "Done")),
        (messages(("system", "A"), ("system", "B"), ("user", "Do"), ("assistant", "D")), Turn("A\n\nB\n\nDo", "D")),
        (messages(("user", "1"), ("assistant", "2"), ("user", "3")), Turn("1", "2", ("multi_turn_cut",))),
        (messages(("assistant", "Hi"), ("user", "1"), ("assistant", "2")), Turn("1", "2", ("multi_turn_cut",))),
        (messages(("user", "1"), ("user", "2"), ("assistant", "3")), Turn("2", "3", ("multi_turn_cut",))),
        (messages(("user", "1"), ("assistant", "2"), ("system", "late")), Turn("1", "2", ("multi_turn_cut",))),
        (messages(("user", "1"), ("assistant", "2"), ("tool", None)), Turn("1", "2", ("multi_turn_cut",))),
        (messages(("system", "S"), ("user", " "), ("assistant", "2")), Turn("", "2")),
    ],
)
def test_messages(record, expected):
    assert read_turn(record, "messages") == expected
    as_sharegpt = {"conversations": [{"from": m["role"], "value": m["content"]} for m in record["messages"]]}
    assert read_turn(as_sharegpt, "sharegpt") == expected


def test_sharegpt_names_and_lima():
    record = {"conversations": [{"from": "human", "value": "Do"}, {"from": "gpt", "value": "Done"}]}
    assert read_turn(record, "sharegpt") == Turn("Do", "Done")
    assert read_turn({"conversations": ["Do", "Done"], "source": "x"}, "sharegpt") == Turn("Do", "Done")
    assert read_turn({"conversations": ["1", "2", "3", "4"]}, "sharegpt") == Turn("1", "2", ("multi_turn_cut",))


@pytest.mark.parametrize("format_", list(FORMATS))
@pytest.mark.parametrize("record", [None, 3, "text", [], {}, {"unrelated": "field"}, float("nan")])
def test_what_is_not_a_record(format_, record):
    with pytest.raises(MalformedError):
        read_turn(record, format_)


@pytest.mark.parametrize(
    ("format_", "record", "message"),
    [
        ("alpaca", {"instruction": "Do", "input": ""}, "output: found nothing"),
        ("alpaca", {"instruction": "Do", "input": "", "output": 3}, "output: found int, expected text"),
        ("alpaca", {"instruction": "Do", "input": float("nan"), "output": "x"}, "input: found float"),
        ("alpaca", {"instruction": "Do", "input": ["x"], "output": "x"}, "input: found list"),
        ("alpaca", {"instruction": "\ud800", "input": "", "output": "x"}, "half a character"),
        ("dolly", {"instruction": "Do", "context": "", "response": None}, "response: found nothing"),
        ("prompt_completion", {"prompt": [{"role": "user"}], "completion": "x"}, "prompt: found list"),
        ("messages", {"messages": "text"}, "messages: found str, expected a list"),
        ("messages", {"messages": []}, "no user message"),
        ("messages", {"messages": ["a", "b"]}, "not an object"),
        ("messages", messages(("user", "only")), "no user message"),
        ("messages", messages(("user", "1"), ("tool", "2"), ("assistant", "3")), "no user message"),
        ("messages", messages(("user", [{"type": "text"}]), ("assistant", "x")), "content: found list"),
        ("messages", messages((None, "1"), ("assistant", "x")), "role: found nothing"),
        ("sharegpt", {"conversations": ["only the prompt"]}, "no user message"),
        ("sharegpt", {"conversations": ["mixed", {"from": "gpt", "value": "x"}]}, "not an object"),
    ],
)
def test_malformed(format_, record, message):
    with pytest.raises(MalformedError, match=message):
        read_turn(record, format_)
