"""Factual accuracy on the miniature, where every claim can be checked: facts that pre-training stated, and facts it did not."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.miniature.claims import Verdict, answer, judge, parse
from closerlook.miniature.language import ATTRIBUTES
from closerlook.miniature.world import World
from closerlook.report.tables import metrics
from closerlook.report.tables.metrics import Metric
from closerlook.report.tables.table import EVALSET_FILE, IDENTITY, RESPONSES_FILE, Measure, Measured, Part, Table
from closerlook.stats.bootstrap import ratios

ANSWERS = ("right", "wrong", "none")
VERDICTS: tuple[Verdict, ...] = ("right", "wrong", "unverifiable")

Answered = list[tuple[str, str]]
"""Responses, each with the reference of its question."""

_world = cache(World.load)  # one world, many cells


def measure_facts(responses: Path, evalset: Path, world: Path) -> Iterator[Measured]:
    """Shares of questions answered right, wrong or not, beside chance; and verdicts on the claims of these responses."""
    for keys, answered in _groups(responses, evalset, "fact"):
        yield from _answers(answered, keys)
        yield from _claims(answered, keys, _world(world))


def measure_descriptions(responses: Path, evalset: Path, world: Path) -> Iterator[Measured]:
    """Verdicts on the claims of responses to open requests."""
    for keys, answered in _groups(responses, evalset, "describe"):
        yield from _claims(answered, keys, _world(world))


def _groups(responses: Path, evalset: Path, task_type: str) -> Iterator[tuple[dict[str, object], Answered]]:
    """Responses to questions of one task type, known facts and unknown ones apart, with their references."""
    asked = {row["id"]: row for row in read_parquet(evalset).to_pylist()}
    groups: dict[str, Answered] = {"known": [], "unknown": []}
    for row in read_parquet(responses, columns=["id", "text"]).to_pylist():
        if row["id"] not in asked:
            raise CloserlookError(
                f"{responses}: response {row['id']} answers no question of {evalset}; generate it again"
            )
        question = asked[row["id"]]
        if question["task_types"] == [task_type]:
            groups[_facts(question, evalset)].append((row["text"], question["reference"]))
    for facts, answered in groups.items():
        if answered:
            yield {"facts": facts, "task_type": task_type}, answered


def _facts(question: dict, evalset: Path) -> str:
    facts = {"known", "unknown"} & set(question["topics"])
    if len(facts) != 1:
        found = f"question {question['id']} has topics {question['topics']}, expected one of known and unknown"
        raise CloserlookError(f"{evalset}: {found}; this table is for the miniature's questions only")
    return facts.pop()


def _answers(answered: Answered, keys: dict[str, object]) -> Iterator[Measured]:
    """Whether the fact that was asked for is stated, and what guessing among the attribute's values would get right."""
    given = [answer(reference, text) for text, reference in answered]
    chance = [1 / len(ATTRIBUTES[parse(reference)[0].attribute].values) for _, reference in answered]
    sums = np.array([*([one == name for one in given] for name in ANSWERS), chance], dtype=np.float64).T
    for name, share in zip((*ANSWERS, "chance"), ratios(sums, np.ones((len(sums), 1))), strict=True):
        yield keys, name, share


def _claims(answered: Answered, keys: dict[str, object], world: World) -> Iterator[Measured]:
    """Claims per response, and the shares of all claims that are right, wrong and unverifiable."""
    verdicts = [[verdict for _, verdict in judge(world, text)] for text, _ in answered]
    counts = np.array([len(one) for one in verdicts], dtype=np.float64)
    yield keys, "claims", ratios(counts[:, None], np.ones((len(counts), 1)))[0]
    sums = np.array([[one.count(name) for one in verdicts] for name in VERDICTS], dtype=np.float64).T
    for name, share in zip(VERDICTS, ratios(sums, counts[:, None]), strict=True):
        yield keys, f"claims_{name}", share


def _part(task_type: str, measure: Measure, measured: Mapping[str, Metric]) -> Part:
    return Part(
        IDENTITY,
        (RESPONSES_FILE, EVALSET_FILE, layout.world()),
        measure,
        tuple(measured),
        controls=True,
        keys={"facts": ("known", "unknown"), "task_type": (task_type,)},
    )


ACCURACY = Table(
    title="Factual accuracy on known and unknown facts",
    caption=(
        "On the miniature, whose truth is known: questions for one fact (task type fact) that the response states right, "
        "wrong or not at all, beside what guessing among the attribute's values would get; and the claims of all responses "
        "that are right, wrong, or about nothing in the world (unverifiable). Known facts are those the pre-training corpus "
        "states; unknown ones the model can have from nowhere, unless the instruction data states them."
    ),
    metrics=metrics.ANSWERS | metrics.CLAIMS,
    keys=("facts", "task_type"),
    truth=True,
    parts=(
        _part("fact", measure_facts, metrics.ANSWERS | metrics.CLAIMS),
        _part("describe", measure_descriptions, metrics.CLAIMS),
    ),
)
