"""Factual accuracy on the miniature, whose facts are known: those that pre-training stated, and those that it did not."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_by_id, read_parquet
from closerlook.miniature.claims import Verdict, check_claims, grade_answer, parse_claims
from closerlook.miniature.language import ATTRIBUTES
from closerlook.miniature.world import World
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import labeled, means, shares
from closerlook.report.tables.metrics import Metric
from closerlook.report.tables.table import IDENTITY, Files, Measure, Measured, Part, Table
from closerlook.stats.bootstrap import Estimate

ANSWERS = ("right", "wrong", "none")
VERDICTS: tuple[Verdict, ...] = ("right", "wrong", "unverifiable")

Answered = list[tuple[str, str]]
"""Responses, each with the reference of its question."""

_world = cache(World.load)  # one world, many cells


def measure_facts(responses: Path, evalset: Path, world: Path) -> Iterator[Measured]:
    """Shares of questions for one fact that are answered right, wrong or not, with chance; and verdicts on claims."""
    for keys, answered in _groups(responses, evalset, "fact"):
        yield from labeled(keys, _measure_answers(answered) | _measure_claims(answered, _world(world)))


def measure_descriptions(responses: Path, evalset: Path, world: Path) -> Iterator[Measured]:
    """Verdicts on the claims of responses to open requests."""
    for keys, answered in _groups(responses, evalset, "describe"):
        yield from labeled(keys, _measure_claims(answered, _world(world)))


def _groups(responses: Path, evalset: Path, task_type: str) -> Iterator[tuple[dict[str, object], Answered]]:
    """Responses to questions of one task type with their references, for known and for unknown facts."""
    questions = {row["id"]: row for row in read_parquet(evalset).to_pylist()}
    groups: dict[str, Answered] = {"known": [], "unknown": []}
    for id_, text in read_by_id(responses, "text").items():
        if id_ not in questions:
            raise CloserlookError(f"{responses}: response {id_} answers no question of {evalset}; generate it again")
        question = questions[id_]
        if question["task_types"] == [task_type]:
            groups[_facts(question, evalset)].append((text, question["reference"]))
    for facts, answered in groups.items():
        if answered:
            yield {"facts": facts, "task_type": task_type}, answered


def _facts(question: dict, evalset: Path) -> str:
    facts = {"known", "unknown"} & set(question["topics"])
    if len(facts) != 1:
        problem = f"question {question['id']} has topics {question['topics']}, expected one of known and unknown"
        raise CloserlookError(f"{evalset}: {problem}; this table is for the miniature's questions only")
    return facts.pop()


def _measure_answers(answered: Answered) -> dict[str, Estimate]:
    """Whether the response states the requested fact; chance: guessing among the attribute's values."""
    answers = np.array([grade_answer(reference, text) for text, reference in answered])
    chance = [1 / len(ATTRIBUTES[parse_claims(reference)[0].attribute].values) for _, reference in answered]
    return shares({name: answers == name for name in ANSWERS}) | means({"chance": np.array(chance)})


def _measure_claims(answered: Answered, world: World) -> dict[str, Estimate]:
    """Claims per response, and the shares of all claims that are right, wrong and unverifiable."""
    verdicts = [[verdict for _, verdict in check_claims(world, text)] for text, _ in answered]
    claims = np.array([len(row) for row in verdicts], dtype=np.float64)
    counts = {f"claims_{name}": np.array([row.count(name) for row in verdicts]) for name in VERDICTS}
    return means({"claims": claims}) | shares(counts, claims)


def _part(task_type: str, measure: Measure, measured: Mapping[str, Metric]) -> Part:
    return Part(
        IDENTITY,
        (Files.RESPONSES, Files.EVALSET, layout.world()),
        measure,
        tuple(measured),
        controls=True,
        keys={"facts": ("known", "unknown"), "task_type": (task_type,)},
    )


ACCURACY = Table(
    name="accuracy",
    title="Factual accuracy on known and unknown facts",
    caption=(
        "One row per cell and group of the miniature's questions: shares of responses that state the requested fact "
        "right, wrong or not at all, and shares of all claims that are right, wrong or unverifiable. Known facts are "
        "in the pre-training corpus; compare the share of right answers with that by chance."
    ),
    metrics=metrics.ANSWERS | metrics.CLAIMS,
    keys=("facts", "task_type"),
    truth=True,
    parts=(
        _part("fact", measure_facts, metrics.ANSWERS | metrics.CLAIMS),
        _part("describe", measure_descriptions, metrics.CLAIMS),
    ),
)
