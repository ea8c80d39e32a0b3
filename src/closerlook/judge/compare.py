"""Compare pairs of responses, by a judge in both orders, by the miniature's oracle, or by people; the rows are PAIRWISE."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closerlook.config.problems import nearest
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_by_id, read_csv, read_parquet, sha256
from closerlook.judge.pairwise import CLASSES, SCHEMA, Opinion, read_opinion, settle
from closerlook.llm.cache import Answer
from closerlook.llm.client import Ask, Request
from closerlook.llm.prompt_file import Prompt
from closerlook.miniature.claims import check_claims
from closerlook.miniature.simplify import answers
from closerlook.miniature.world import Fact, World

SLOTS = ("instruction", "response_a", "response_b")
MAX_TOKENS = 512
"""Longest answer of a judge, in tokens."""
COLUMNS = ("cell", "evalset", "id", "class")
"""Required columns of a file of labels; `labeller` and `reason` are optional."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Pair:
    """Two responses to one instruction."""

    id: str
    instruction: str
    original: str
    simplified: str


def read_pairs(evalset: Path, original: Path, simplified: Path) -> list[Pair]:
    """Return the pairs of two responses.parquet, in the evalset's order. Raises CloserlookError if a response is missing."""
    texts = [read_by_id(path, "text") for path in (original, simplified)]
    pairs = []
    for row in read_parquet(evalset, columns=["id", "instruction"]).to_pylist():
        for path, responses in zip((original, simplified), texts, strict=True):
            if row["id"] not in responses:
                raise CloserlookError(f"{path}: has no response to {row['id']} of {evalset}; generate it again")
        pairs.append(Pair(row["id"], row["instruction"], *(responses[row["id"]] for responses in texts)))
    return pairs


def compare_by_judge(pairs: Sequence[Pair], ask: Ask, prompt: Prompt, model: str) -> Rows:
    """Ask a judge about each pair twice, with the original response as A and as B; all requests are concurrent."""
    requests = [
        Request(prompt.fill(instruction=pair.instruction, response_a=a, response_b=b), SCHEMA, "comparison")
        for pair in pairs
        for a, b in ((pair.original, pair.simplified), (pair.simplified, pair.original))
    ]
    replies = ask(requests, usable=lambda text: read_opinion(text, "A").category is not None, expected_tokens=100)
    rows = []
    for pair, first, second in zip(pairs, replies[::2], replies[1::2], strict=True):
        orders = _opinion(first, "A"), _opinion(second, "B")
        versions = dict.fromkeys(answer.model for answer in (first, second) if answer.model)
        judge = f"{model}@{'+'.join(versions) or '?'}/prompt {prompt.digest}"
        rows.append(_row(pair.id, settle(orders), judge, *orders))
    return rows


def summary(rows: Rows) -> str:
    """Return the number of pairs in each class, and of nulls by cause."""
    counts = Counter(row["class"] or row["null_cause"] for row in rows)
    return f"{len(rows):,} pairs: " + ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


def _opinion(answer: Answer, original: str) -> Opinion:
    if answer.error:
        return Opinion(None, answer.error, "error")
    return Opinion(None, answer.text or None, "refused") if answer.refused else read_opinion(answer.text, original)


def compare_by_oracle(pairs: Sequence[Pair], world: World) -> Rows:
    """Decide the miniature's pairs from the claims of their responses; no order is involved."""
    opinions = (oracle_opinion(world, pair.instruction, pair.original, pair.simplified) for pair in pairs)
    return [_row(pair.id, opinion, "oracle", opinion, opinion) for pair, opinion in zip(pairs, opinions, strict=True)]


def oracle_opinion(world: World, instruction: str, original: str, simplified: str) -> Opinion:
    """Return the class of a pair of responses from their claims. A claim is false if it is wrong or unverifiable.

    The core of a response is its first claim that answers the instruction; a response without one counts as wrong. A response is
    accurate if its core is right and no claim is false. Both accurate: longer_preferred if the original states all facts of the
    simplified one and more, different if each states a fact that the other does not, else other. Both cores wrong:
    both_inaccurate. Only the simplified one accurate: core if the original's core is wrong, else prolonged. Otherwise: other.
    """
    cores, accurate, facts, reasons = [], [], [], []
    for name, text in (("original", original), ("simplified", simplified)):
        claims = check_claims(world, text)
        false = sum(verdict != "right" for _, verdict in claims)
        core = next((verdict for claim, verdict in claims if answers(instruction, claim)), "not stated")
        cores.append(core)
        accurate.append(core == "right" and not false)
        facts.append({claim.fact for claim, _ in claims})
        reasons.append(f"{name}: core {core}, {false} of {len(claims)} claims false")
    return Opinion(_category(cores, accurate, *facts), "; ".join(reasons))


def _category(cores: Sequence[str], accurate: Sequence[bool], original: set[Fact], simplified: set[Fact]) -> str:
    if all(accurate):
        if original > simplified:
            return "longer_preferred"
        return "different" if original - simplified and simplified - original else "other"
    if "right" not in cores:
        return "both_inaccurate"
    if accurate[1] and not accurate[0]:
        return "prolonged" if cores[0] == "right" else "core"
    return "other"


def compare_by_people(pairs: Sequence[Pair], labels: Path, cell: str, evalset: str) -> Rows:
    """Read the classes from a CSV (COLUMNS). A pair's labels are combined like two orders; without one it is null."""
    opinions: dict[str, list[Opinion]] = {pair.id: [] for pair in pairs}
    for line, row in read_csv(labels, COLUMNS, "labels"):
        if (row["cell"], row["evalset"]) != (cell, evalset):
            continue
        if row["id"] not in opinions:
            raise CloserlookError(f"{labels}: line {line}: id {row['id']!r} is no instruction of {evalset}")
        if row["class"] not in CLASSES:
            expected = f"a class: {nearest(row['class'], CLASSES)}"
            raise CloserlookError(f"{labels}: line {line}: found class {row['class']!r}, expected {expected}")
        opinions[row["id"]].append(Opinion(row["class"], row.get("reason") or None))
    unlabeled, source = Opinion(None, None, "not labelled"), f"labels {sha256(labels)[:8]}"
    return [_row(id, settle(given) if given else unlabeled, source) for id, given in opinions.items()]


def _row(id: str, settled: Opinion, judge: str, *orders: Opinion) -> dict[str, Any]:
    first, second = (opinion.category for opinion in orders) if orders else (None, None)
    return {
        "id": id,
        "class": settled.category,
        "null_cause": settled.null_cause,
        "original_first": first,
        "simplified_first": second,
        "reason": settled.reason,
        "judge": judge,
    }
