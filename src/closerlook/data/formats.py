"""The shapes in which instruction data is published, each read as one instruction and one response.

Conversations: the first user -> assistant turn is taken, because the paper's evaluation is single-turn; that further messages
were left out is noted and counted. A system prompt goes in front of the instruction.
"""

import re
from collections.abc import Callable
from itertools import cycle
from typing import Any, NamedTuple


class Turn(NamedTuple):
    """One instruction and its response, stripped of outer white space."""

    instruction: str
    response: str
    notes: tuple[str, ...] = ()
    """What was left out of the record, by name: multi_turn_cut, input_placeholder."""


class MalformedError(ValueError):
    """A record that does not have the shape its format promises."""


def read_turn(record: Any, format_: str) -> Turn:
    """Read a record of the format named `format_`, a key of FORMATS. Raises MalformedError, saying which field is wrong."""
    if not isinstance(record, dict):
        raise MalformedError("not an object" if record is not None else "does not parse")
    turn = FORMATS[format_](record)
    return Turn(turn.instruction.strip(), turn.response.strip(), turn.notes)


def text_field(record: dict[str, Any], key: str, *, optional: bool = False) -> str:
    """The text under `key`; "" for an optional one that is absent or null. Raises MalformedError for anything else."""
    value = record.get(key)
    if value is None and optional:
        return ""
    if not isinstance(value, str):
        raise MalformedError(f"{key}: found {'nothing' if value is None else type(value).__name__}, expected text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise MalformedError(f"{key}: holds half a character (a lone UTF-16 surrogate)") from None
    return value


# MedInstruct writes <noinput> in about a third of its rows where Alpaca leaves the input empty; Alpaca itself has a percent or
# two of these and of "No input required." A model should not learn to read them.
_NO_INPUT = re.compile(r"\W*no\W?inputs?( required| needed)?\W*", re.IGNORECASE)


def _with_input(record: dict[str, Any], input_: str, response: str) -> Turn:
    instruction, context = text_field(record, "instruction"), text_field(record, input_, optional=True).strip()
    notes: tuple[str, ...] = ()
    if _NO_INPUT.fullmatch(context):
        context, notes = "", ("input_placeholder",)
    if instruction.strip() and context:  # a context alone asks nothing: such a row counts as empty
        instruction = f"{instruction.strip()}\n\n{context}"
    return Turn(instruction, text_field(record, response), notes)


def _alpaca(record: dict[str, Any]) -> Turn:
    return _with_input(record, "input", "output")


def _dolly(record: dict[str, Any]) -> Turn:
    return _with_input(record, "context", "response") if "response" in record else _alpaca(record)


def _prompt_completion(record: dict[str, Any]) -> Turn:
    return Turn(text_field(record, "prompt"), text_field(record, "completion"))


def _messages(record: dict[str, Any]) -> Turn:
    return _first_turn(record, "messages", "role", "content")


def _sharegpt(record: dict[str, Any]) -> Turn:
    messages = record.get("conversations")
    if isinstance(messages, list) and messages and all(isinstance(message, str) for message in messages):
        # LIMA: plain texts, the user's first, then in turns
        speakers = zip(cycle(("human", "gpt")), messages, strict=False)
        record = {"conversations": [{"from": who, "value": text} for who, text in speakers]}
    return _first_turn(record, "conversations", "from", "value")


_ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant"}


def _first_turn(record: dict[str, Any], messages: str, role: str, content: str) -> Turn:
    conversation = record.get(messages)
    if not isinstance(conversation, list):
        raise MalformedError(f"{messages}: found {type(conversation).__name__}, expected a list")
    if not all(isinstance(message, dict) for message in conversation):
        raise MalformedError(f"{messages}: holds something that is not an object")
    roles = [_ROLES.get(name, name) for name in (text_field(message, role) for message in conversation)]
    first = next((i for i in range(len(roles) - 1) if roles[i : i + 2] == ["user", "assistant"]), None)
    if first is None:
        raise MalformedError(f"{messages}: no user message with an assistant's answer right after it")
    system = [text_field(conversation[i], content).strip() for i in range(first) if roles[i] == "system"]
    user, assistant = (text_field(message, content) for message in conversation[first : first + 2])
    if user.strip():
        user = "\n\n".join([text for text in system if text] + [user.strip()])
    cut = len(conversation) > len(system) + 2
    return Turn(user, assistant, ("multi_turn_cut",) if cut else ())


FORMATS: dict[str, Callable[[dict[str, Any]], Turn]] = {
    "alpaca": _alpaca,
    "dolly": _dolly,
    "messages": _messages,
    "sharegpt": _sharegpt,
    "prompt_completion": _prompt_completion,
}
"""alpaca: instruction, input, output. dolly: instruction, context, response (or as alpaca). messages: list of role, content.
sharegpt: conversations, a list of from, value, or of plain texts (LIMA). prompt_completion: prompt, completion."""
