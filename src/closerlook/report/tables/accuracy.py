"""Factual accuracy on the miniature, where it is known which facts pre-training and the instruction data state."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from closerlook.config.rows import with_base
from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_by_id, read_parquet
from closerlook.miniature.claims import Verdict, check_claims, grade_answer, parse_claims
from closerlook.miniature.language import ATTRIBUTES
from closerlook.miniature.origins import times_stated
from closerlook.miniature.questions import SORTS
from closerlook.miniature.world import Fact, World
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import labeled, means, shares
from closerlook.report.tables.table import IDENTITY, Files, Measured, Part, Row, Table
from closerlook.stats.bootstrap import Estimate

ANSWERS = ("right", "wrong", "none")
VERDICTS: tuple[Verdict, ...] = ("right", "wrong", "unverifiable")

Answered = list[tuple[str, str]]
"""Responses, each with the reference of its question."""

STATED = ("0", "1", "2-3", "4+")
"""How many instances state a taught fact."""

_world = cache(World.load)  # one world, many cells


def measure_facts(
    responses: Path, evalset: Path, world: Path, dataset: Path | None = None, manifest: Path | None = None
) -> Iterator[Measured]:
    """Shares of questions for one fact that are answered right, wrong or not, with chance; and verdicts on claims.

    dataset, manifest: of a tuned cell, whose taught facts are grouped by how many instances state them.
    """
    for keys, answered in _groups(responses, evalset, "fact", trained_facts(dataset, manifest)):
        answers = [(text, question["reference"]) for text, question in answered]
        yield from labeled(keys, _measure_answers(answers) | _measure_claims(answers, _world(world)))


def measure_descriptions(responses: Path, evalset: Path, world: Path) -> Iterator[Measured]:
    """Verdicts on the claims of responses to open requests."""
    for keys, answered in _groups(responses, evalset, "describe"):
        answers = [(text, question["reference"]) for text, question in answered]
        yield from labeled(keys, _measure_claims(answers, _world(world)))


def compare_with_base(responses: Path, evalset: Path, base: Path, dataset: Path, manifest: Path) -> Iterator[Measured]:
    """The share of the same questions that the base model's responses answer right, and the paired difference to it."""
    untuned = read_by_id(base, "text")
    for keys, answered in _groups(responses, evalset, "fact", trained_facts(dataset, manifest)):
        pairs = [
            [grade_answer(question["reference"], response) == "right" for response in (text, untuned[question["id"]])]
            for text, question in answered
            if question["id"] in untuned
        ]
        right, base_right = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        yield from labeled(keys, shares({"base_right": base_right}))
        yield from labeled(keys, means({"right_minus_base": right - base_right}))


def _groups(
    responses: Path, evalset: Path, task_type: str, stated: Counter[Fact] | None = None
) -> Iterator[tuple[dict[str, object], list[tuple[str, dict[str, Any]]]]]:
    """Responses to questions of one task type with their questions, by sort of fact; taught facts also by how often `stated`."""
    questions = {row["id"]: row for row in read_parquet(evalset).to_pylist()}
    groups: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {
        (sort, times): [] for sort in SORTS for times in (STATED if sort == "taught" and stated is not None else ("",))
    }
    for id_, text in read_by_id(responses, "text").items():
        if id_ not in questions:
            raise CloserlookError(f"{responses}: response {id_} answers no question of {evalset}; generate it again")
        question = questions[id_]
        if question["task_types"] == [task_type]:
            sort = sort_of(question, evalset)
            times = _times(question["reference"], stated) if sort == "taught" and stated is not None else ""
            groups[sort, times].append((text, question))
    for (sort, times), answered in groups.items():
        if answered:
            yield {"facts": sort, "stated": times, "task_type": task_type}, answered


def sort_of(question: dict[str, Any], evalset: Path) -> str:
    """Who states the fact that a question asks for: one of SORTS. Raises CloserlookError if the topics do not say so."""
    sorts = set(SORTS) & set(question["topics"])
    if len(sorts) != 1:
        problem = f"question {question['id']} has topics {question['topics']}, expected one of {', '.join(SORTS)}"
        raise CloserlookError(f"{evalset}: {problem}; this table is for the miniature's questions only")
    return sorts.pop()


def trained_facts(dataset: Path | None, manifest: Path | None) -> Counter[Fact] | None:
    """The number of instances that a cell was trained on that state each fact; None for a control."""
    if dataset is None or manifest is None:
        return None
    trained = json.loads(manifest.read_text(encoding="utf-8"))["data"]["rows"]  # the rows after these were held out
    rows = read_parquet(dataset, columns=["instruction", "response"]).slice(0, trained).to_pylist()
    return times_stated((row["instruction"], row["response"]) for row in rows)


def _times(reference: str, stated: Counter[Fact]) -> str:
    """The group of STATED of the fact that the reference states."""
    return times_group(stated[parse_claims(reference)[0].fact])


def times_group(count: int) -> str:
    """The group of STATED of what so many instances state."""
    return STATED[min(count, 2) if count < 4 else 3]


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


def _controls(grid: Iterable[Row]) -> Iterator[Row]:
    return (row for row in grid if not row["dataset"])


def _with_base(grid: Iterable[Row]) -> Iterator[Row]:
    """The rows whose model's base control answers the evalset too, with its cell in `against`."""
    return (row | {"against": base["cell"]} for row, base in with_base(grid))


_TRAINED = (Files.SUBSET, layout.manifest("{cell}"))
_ASKED = {"facts": SORTS, "task_type": ("fact",)}
_FACTS = metrics.ANSWERS | metrics.CLAIMS

ACCURACY = Table(
    name="accuracy",
    title="Factual accuracy by who states the facts",
    caption=(
        "One row per cell and group of the miniature's questions: shares of responses that state the requested fact "
        "right, wrong or not at all, compared with chance and with the base model, and shares of all claims. Known facts "
        "are in the pre-training corpus, taught facts in instruction data (stated: in how many instances of the cell's "
        "own); facts beside these and unseen facts are in neither."
    ),
    metrics=metrics.ANSWERS | metrics.BASE_ANSWERS | metrics.CLAIMS,
    keys=("facts", "stated", "task_type"),
    truth=True,
    parts=(
        Part(
            IDENTITY,
            (Files.RESPONSES, Files.EVALSET, layout.world(), *_TRAINED),
            measure_facts,
            tuple(_FACTS),
            keys=_ASKED,
        ),
        Part(
            IDENTITY,
            (Files.RESPONSES, Files.EVALSET, layout.world()),
            measure_facts,
            tuple(_FACTS),
            controls=True,
            keys=_ASKED,
            over=_controls,
        ),
        Part(
            IDENTITY,
            (Files.RESPONSES, Files.EVALSET, layout.responses("{against}", "{evalset}"), *_TRAINED),
            compare_with_base,
            tuple(metrics.BASE_ANSWERS),
            keys=_ASKED,
            over=_with_base,
        ),
        Part(
            IDENTITY,
            (Files.RESPONSES, Files.EVALSET, layout.world()),
            measure_descriptions,
            tuple(metrics.CLAIMS),
            controls=True,
            keys={"facts": ("known", "unseen"), "task_type": ("describe",)},
        ),
    ),
)
