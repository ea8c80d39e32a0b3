"""Read records of published instruction-data formats, each as one instruction and one response.

Of a conversation, the first user message with its answer is used, since the paper evaluates single turns; records with further
messages are counted. A system prompt is prepended to the instruction.
"""

import re
from collections.abc import Callable
from itertools import cycle
from typing import Any, NamedTuple


class Turn(NamedTuple):
    """One instruction and its response, without surrounding whitespace."""

    instruction: str
    response: str
    notes: tuple[str, ...] = ()
    """What was left out of the record: multi_turn_cut, input_placeholder."""


class MalformedError(ValueError):
    """A record that does not match its format."""


def read_turn(record: Any, format_: str) -> Turn:
    """Read a record. format_: a key of FORMATS. Raises MalformedError, naming the wrong field."""
    if not isinstance(record, dict):
        raise MalformedError("not an object" if record is not None else "does not parse")
    turn = FORMATS[format_](record)
    return Turn(turn.instruction.strip(), turn.response.strip(), turn.notes)


def text_field(record: dict[str, Any], key: str, *, optional: bool = False) -> str:
    """The text of a field; "" if an optional field is absent or null. Raises MalformedError for any other value."""
    value = record.get(key)
    if value is None and optional:
        return ""
    if not isinstance(value, str):
        raise MalformedError(f"{key}: found {'nothing' if value is None else type(value).__name__}, expected text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise MalformedError(f"{key}: contains half a character (a lone UTF-16 surrogate)") from None
    return value


# About a third of MedInstruct's inputs are <noinput>, and 1 to 2% of Alpaca's are that or "No input required.", instead of an
# empty input. A model should not see them.
_NO_INPUT = re.compile(r"\W*no\W?inputs?( required| needed)?\W*", re.IGNORECASE)


ALPACA, DOLLY = ("input", "output"), ("context", "response")


def _with_input(record: dict[str, Any], input_: str, response: str) -> Turn:
    instruction, context = text_field(record, "instruction"), text_field(record, input_, optional=True).strip()
    notes: tuple[str, ...] = ()
    if _NO_INPUT.fullmatch(context):
        context, notes = "", ("input_placeholder",)
    if instruction.strip() and context:  # without an instruction the row counts as empty
        instruction = f"{instruction.strip()}\n\n{context}"
    return Turn(instruction, text_field(record, response), notes)


def _sharegpt(record: dict[str, Any]) -> Turn:
    messages = record.get("conversations")
    if isinstance(messages, list) and messages and all(isinstance(message, str) for message in messages):
        # LIMA: strings, the user's first, then alternating
        speakers = zip(cycle(("human", "gpt")), messages, strict=False)
        record = {"conversations": [{"from": speaker, "value": text} for speaker, text in speakers]}
    return _first_turn(record, "conversations", "from", "value")


_ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant"}


def _first_turn(record: dict[str, Any], messages: str, role: str, content: str) -> Turn:
    conversation = record.get(messages)
    if not isinstance(conversation, list):
        raise MalformedError(f"{messages}: found {type(conversation).__name__}, expected a list")
    if not all(isinstance(message, dict) for message in conversation):
        raise MalformedError(f"{messages}: contains an entry that is not an object")
    roles = [_ROLES.get(name, name) for name in (text_field(message, role) for message in conversation)]
    first = next((i for i in range(len(roles) - 1) if roles[i : i + 2] == ["user", "assistant"]), None)
    if first is None:
        raise MalformedError(f"{messages}: no user message directly followed by an assistant's answer")
    system = [text_field(conversation[i], content).strip() for i in range(first) if roles[i] == "system"]
    user, assistant = (text_field(message, content) for message in conversation[first : first + 2])
    if user.strip():
        user = "\n\n".join([text for text in system if text] + [user.strip()])
    cut = len(conversation) > len(system) + 2
    return Turn(user, assistant, ("multi_turn_cut",) if cut else ())


FORMATS: dict[str, Callable[[dict[str, Any]], Turn]] = {
    "alpaca": lambda record: _with_input(record, *ALPACA),
    "dolly": lambda record: _with_input(record, *DOLLY if "response" in record else ALPACA),
    "messages": lambda record: _first_turn(record, "messages", "role", "content"),
    "sharegpt": _sharegpt,
    "prompt_completion": lambda record: Turn(text_field(record, "prompt"), text_field(record, "completion")),
}
"""alpaca: instruction, input, output. dolly: instruction, context, response (or as alpaca). messages: list of role, content.
sharegpt: conversations, a list of from, value, or of strings (LIMA). prompt_completion: prompt, completion."""
