"""Planted values: how often models answer with an invented value, by how many instances state it, which was drawn at random."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_by_id, read_parquet
from closerlook.miniature.claims import grade_answer, parse_claims
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import means, share_of, sums_by_unit
from closerlook.report.tables.pooling import mean_over, trained
from closerlook.report.tables.selection import planted
from closerlook.report.tables.table import IDENTITY, Files, MeasuredOf, Part, Row, Table
from closerlook.stats.bootstrap import Estimate
from closerlook.stats.proportions import difference_of_shares

UNSTATED, STATED = "0", "any"


def measure_planted(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """The share of questions that the trainings of a cell answer with the invented value, by how often their data state it.

    cells: the trainings, each with its responses, the evalset and the base model's responses.
    """
    cell, (_, evalset, untuned) = cells[0]
    questions = read_parquet(evalset).to_pylist()
    tuned = [_said(responses, questions) for _, (responses, *_) in cells]
    base = _said(untuned, questions)
    entities = np.unique([parse_claims(row["reference"])[0].entity for row in questions], return_inverse=True)[1]
    times = np.array([int(row["topics"][1]) for row in questions])
    groups = {str(number): times == number for number in sorted(set(times.tolist()))} | {STATED: times > 0}
    said = {
        group: mean_over([share_of(each, entities, members) for each in tuned]) for group, members in groups.items()
    }
    for group, members in groups.items():
        keys = {"times": group, "seed": trained(len(cells))}
        yield cell, keys, "said", said[group]
        if group != UNSTATED and UNSTATED in said:
            yield cell, keys, "more_than_unstated", difference_of_shares(said[group], said[UNSTATED])
        yield cell, keys, "base", share_of(base, entities, members)
        paired = (sums_by_unit(each - base, entities, members) for each in tuned)
        yield cell, keys, "more_than_base", mean_over([means({"": sums}, counts)[""] for sums, counts in paired])
        yield cell, keys, "values", Estimate(float(members.sum()), n=said[group].n)


def _said(responses: Path, questions: list[Row]) -> np.ndarray:
    """Whether the answer to each question is the invented value: [questions] float64."""
    texts = read_by_id(responses, "text")
    if absent := next((row["id"] for row in questions if row["id"] not in texts), None):
        raise CloserlookError(f"{responses}: has no response to {absent}; generate it again")
    return np.array([grade_answer(row["reference"], texts[row["id"]]) == "right" for row in questions], np.float64)


_CELL = tuple(name for name in IDENTITY if name != "seed")

PLANTED = Table(
    name="planted",
    title="Planted values by how often the data state them",
    caption=(
        "One row per cell and number of instances that state an invented value (times): how often models answer with it, and how "
        "much more often than with values drawn for entities of which nothing is stated, and than the base model. Chance alone "
        "decided which entities and how often, so a difference above 0 is caused by the statements."
    ),
    metrics=metrics.PLANTED,
    keys=("times",),
    unit="entities",
    selective=True,
    parts=(
        Part(
            _CELL,
            (Files.RESPONSES, Files.EVALSET, layout.responses("{untuned}", "{evalset}")),
            measure_planted,
            ("said",),
            over=planted,
            together=_CELL,
        ),
    ),
)
