"""Pairs of responses in, PAIRWISE rows out: decided by a judge in both orders, by the miniature's oracle, or by people."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closerlook.config.problems import nearest
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet, sha256
from closerlook.judge import pairwise_oracle
from closerlook.judge.pairwise import CLASSES, SCHEMA, Opinion, read_opinion, settle
from closerlook.llm.cache import Answer
from closerlook.llm.client import Ask, Request
from closerlook.llm.prompt_file import Prompt
from closerlook.miniature.world import World

SLOTS = ("instruction", "response_a", "response_b")
MAX_TOKENS = 512
"""Longest answer of a judge."""
COLUMNS = ("cell", "evalset", "id", "class")
"""Of a file of labels; `labeller` and `reason` are optional further columns."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Pair:
    """Two responses to one instruction."""

    id: str
    instruction: str
    original: str
    simplified: str


def read_pairs(evalset: Path, original: Path, simplified: Path) -> list[Pair]:
    """The pairs of two responses.parquet, in the evalset's order. Raises CloserlookError where a response is missing."""
    texts = []
    for path in (original, simplified):
        table = read_parquet(path, columns=["id", "text"])
        texts.append(dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)))
    pairs = []
    for row in read_parquet(evalset, columns=["id", "instruction"]).to_pylist():
        for path, responses in zip((original, simplified), texts, strict=True):
            if row["id"] not in responses:
                raise CloserlookError(f"{path}: has no response to {row['id']} of {evalset}; generate it again")
        pairs.append(Pair(row["id"], row["instruction"], *(responses[row["id"]] for responses in texts)))
    return pairs


def by_judge(pairs: Sequence[Pair], ask: Ask, prompt: Prompt, model: str) -> Rows:
    """Ask a judge twice about each pair, the original's response as A and then as B (all are asked at once)."""
    requests = [
        Request(prompt.fill(instruction=pair.instruction, response_a=a, response_b=b), SCHEMA, "comparison")
        for pair in pairs
        for a, b in ((pair.original, pair.simplified), (pair.simplified, pair.original))
    ]
    answers = ask(requests, usable=lambda text: read_opinion(text, "A").category is not None, expected_tokens=100)
    rows = []
    for pair, first, second in zip(pairs, answers[::2], answers[1::2], strict=True):
        orders = _opinion(first, "A"), _opinion(second, "B")
        versions = dict.fromkeys(answer.model for answer in (first, second) if answer.model)
        judge = f"{model}@{'+'.join(versions) or '?'}/prompt {prompt.digest}"
        rows.append(_row(pair.id, settle(orders), judge, *orders))
    return rows


def summary(rows: Rows) -> str:
    """How many pairs fell in each class, and how many in none."""
    counts = Counter(row["class"] or row["null_cause"] for row in rows)
    return f"{len(rows):,} pairs: " + ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


def _opinion(answer: Answer, original: str) -> Opinion:
    if answer.error:
        return Opinion(None, answer.error, "error")
    return Opinion(None, answer.text or None, "refused") if answer.refused else read_opinion(answer.text, original)


def by_oracle(pairs: Sequence[Pair], world: World) -> Rows:
    """Decide the miniature's pairs by what their responses claim; no order is involved."""
    opinions = (pairwise_oracle.opinion(world, pair.instruction, pair.original, pair.simplified) for pair in pairs)
    return [_row(pair.id, opinion, "oracle", opinion, opinion) for pair, opinion in zip(pairs, opinions, strict=True)]


def by_people(pairs: Sequence[Pair], labels: Path, cell: str, evalset: str) -> Rows:
    """Take the classes from a CSV (COLUMNS). Several labels of a pair are settled like two orders; a pair without one is null."""
    given: dict[str, list[Opinion]] = {pair.id: [] for pair in pairs}
    for line, row in _read_labels(labels):
        if (row["cell"], row["evalset"]) != (cell, evalset):
            continue
        if row["id"] not in given:
            raise CloserlookError(f"{labels}: line {line}: id {row['id']!r} is no instruction of {evalset}")
        if row["class"] not in CLASSES:
            expected = f"a class: {nearest(row['class'], CLASSES)}"
            raise CloserlookError(f"{labels}: line {line}: found class {row['class']!r}, expected {expected}")
        given[row["id"]].append(Opinion(row["class"], row.get("reason") or None))
    none = Opinion(None, None, "not labelled")
    judge = f"labels {sha256(labels)[:8]}"
    return [_row(id_, settle(opinions) if opinions else none, judge) for id_, opinions in given.items()]


def _read_labels(labels: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with labels.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CloserlookError(f"{labels}: cannot be read as CSV: {error}") from None
    if absent := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        raise CloserlookError(
            f"{labels}: has no column {', '.join(absent)}, found {', '.join(reader.fieldnames or ()) or 'nothing'}"
        )
    short = next((line for line, row in rows if None in row.values() or None in row), None)
    if short:
        raise CloserlookError(
            f"{labels}: line {short}: expected one value for each of {', '.join(reader.fieldnames or ())}"
        )
    return rows


def _row(id_: str, settled: Opinion, judge: str, *orders: Opinion) -> dict[str, Any]:
    first, second = (opinion.category for opinion in orders) if orders else (None, None)
    return {
        "id": id_,
        "class": settled.category,
        "null_cause": settled.null_cause,
        "original_first": first,
        "simplified_first": second,
        "reason": settled.reason,
        "judge": judge,
    }
