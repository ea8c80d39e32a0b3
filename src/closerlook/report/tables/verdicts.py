"""A judge's verdicts on one cell's responses as arrays, checked: every response has exactly one verdict per aspect."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from closerlook.core.files import read_parquet
from closerlook.judge.aspects import NULL_CAUSES, SCORES
from closerlook.report.tables.measuring import damaged, null_counts
from closerlook.stats.bootstrap import Estimate

NOT_APPLICABLE = NULL_CAUSES.index("not applicable")

Column = tuple[tuple[str, ...], np.ndarray]
"""Ids of instructions, and a value for each."""


@dataclass(frozen=True, eq=False)
class Verdicts:
    """One file of verdicts.

    ids: of the responses, in the file's order. aspects: in the file's order. scores: [responses, aspects] float64, NaN for
    null. causes: [responses, aspects] int64, index in NULL_CAUSES, -1 for a score. version: of the judge; all of them if the
    file names several.
    """

    ids: tuple[str, ...]
    aspects: tuple[str, ...]
    scores: np.ndarray
    causes: np.ndarray
    version: str

    @cached_property
    def na_five(self) -> np.ndarray:
        """Scores with a 5 for each N/A, as just-eval's scripts count them: [responses, aspects]."""
        return np.where(self.causes == NOT_APPLICABLE, float(max(SCORES)), self.scores)

    def aspect(self, name: str) -> Column:
        """The scores of an aspect."""
        return self.ids, self.scores[:, self.aspects.index(name)]

    def nulls(self, chosen: Any) -> dict[str, Estimate]:
        """Number of the chosen verdicts (an index of the arrays) without a score, by metric; n: those with a score."""
        causes = self.causes[chosen].ravel()
        counts: dict[str, int] = {cause: int(np.count_nonzero(causes == i)) for i, cause in enumerate(NULL_CAUSES)}
        n = int(np.count_nonzero(causes < 0))
        return null_counts(NULL_CAUSES, counts, n, causes.size - n)


@cache  # a control's verdicts are compared with those of every cell of its model
def read_verdicts(path: Path) -> Verdicts:
    """Read and check a file of verdicts. Raises CloserlookError for an invalid, missing or repeated verdict."""
    columns = read_parquet(path, columns=["id", "aspect", "score", "null_cause", "judge"]).to_pydict()
    ids, aspects = ({name: i for i, name in enumerate(dict.fromkeys(columns[key]))} for key in ("id", "aspect"))
    scores = np.full((len(ids), len(aspects)), np.nan)
    causes = np.full(scores.shape, -2)
    rows = zip(columns["id"], columns["aspect"], columns["score"], columns["null_cause"], strict=True)
    for number, (id_, aspect, score, cause) in enumerate(rows):
        index = ids[id_], aspects[aspect]
        if causes[index] != -2:
            raise damaged(path, f"row {number}: a second verdict on the {aspect} of response {id_}")
        if not (cause in NULL_CAUSES if score is None else score in SCORES and cause is None):
            expected = f"expected a score of {SCORES} or one cause of {NULL_CAUSES}"
            raise damaged(path, f"row {number}: score {score}, null_cause {cause}, {expected}")
        scores[index] = np.nan if score is None else score
        causes[index] = NULL_CAUSES.index(cause) if score is None else -1
    if (causes == -2).any():
        response, aspect = np.argwhere(causes == -2)[0]
        raise damaged(path, f"response {list(ids)[response]} has no verdict on its {list(aspects)[aspect]}")
    return Verdicts(tuple(ids), tuple(aspects), scores, causes, " + ".join(sorted(set(columns["judge"]))))


def versions(*verdicts: Verdicts) -> str:
    """The versions of the judges; one if they agree."""
    return " / ".join(dict.fromkeys(each.version for each in verdicts))


def aligned(columns: list[Column]) -> np.ndarray:
    """Columns with one row per instruction: [instructions, columns] float64, NaN where a column has no value.

    Rows are in the order in which ids first occur.
    """
    row_of = {id_: row for row, id_ in enumerate(dict.fromkeys(id_ for ids, _ in columns for id_ in ids))}
    table = np.full((len(row_of), len(columns)), np.nan)
    for column, (ids, values) in enumerate(columns):
        table[[row_of[id_] for id_ in ids], column] = values
    return table
