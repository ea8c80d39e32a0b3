"""An evalset in other words: does the same wrong phrase return? (section 5). Who writes them is the caller's affair."""

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from closerlook.core.errors import CloserlookError
from closerlook.core.schemas import EVALSET
from closerlook.data.tally import Tally

Rephrase = Callable[[Sequence[str]], Sequence[Sequence[str]]]
"""Other wordings of each instruction, in their order; none where there are none."""

REASONS = ("empty", "same_words", "repeated", "surplus")
"""Why a wording is dropped: it is empty, says the instruction's words again, repeats another wording, or is one too many."""
MARK = "/p"
"""Stands between an instruction's id and the number of its wording, from 1."""


def paraphrase(evalset: pa.Table, name: str, count: int, rephrase: Rephrase) -> tuple[pa.Table, Tally, dict[str, Any]]:
    """At most `count` other wordings of each instruction (EVALSET), under `<id>/p1` and so on; all else is the instruction's own.

    The tally counts wordings, kept and dropped by REASONS; the third result, for the report, how many instructions have none.
    Raises CloserlookError when no wording is left.
    """
    questions: list[dict[str, Any]] = evalset.to_pylist()
    tally, rows, bare = Tally(REASONS), [], 0
    wordings = rephrase([question["instruction"] for question in questions])
    for place, (question, texts) in enumerate(zip(questions, wordings, strict=True)):
        kept: dict[str, str] = {}
        for text in map(str.strip, texts):
            if reason := _reason(text, question["instruction"], kept, count):
                tally.drop(reason, place)
            else:
                tally.keep(place)
                kept[_plain(text)] = text
        bare += not kept
        for number, text in enumerate(kept.values(), 1):
            rows.append(question | {"id": f"{question['id']}{MARK}{number}", "instruction": text, "source": name})
    if not rows:
        raise CloserlookError(f"{name}: no instruction in other words: {tally}")
    return (
        pa.Table.from_pylist(rows, schema=EVALSET),
        tally,
        {"instructions": len(questions), "without_paraphrase": bare},
    )


def original_of(id_: str) -> str:
    """Id of the instruction that a wording is one of."""
    return id_.rpartition(MARK)[0]


def _reason(text: str, instruction: str, kept: dict[str, str], count: int) -> str | None:
    if not text:
        return "empty"
    if _plain(text) == _plain(instruction):
        return "same_words"
    if _plain(text) in kept:
        return "repeated"
    return "surplus" if len(kept) >= count else None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
