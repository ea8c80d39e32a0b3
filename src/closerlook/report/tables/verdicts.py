"""A judge's verdicts on one cell's responses as arrays, checked: no score counts twice, and none is gone."""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.judge.aspects import NULL_CAUSES, SCORES
from closerlook.stats.bootstrap import Estimate

NOT_APPLICABLE = NULL_CAUSES.index("not applicable")


@dataclass(frozen=True, eq=False)
class Verdicts:
    """One file of verdicts.

    ids: of the responses, in the file's order. aspects: in the file's order. scores: [responses, aspects] float64, NaN where
    null. causes: [responses, aspects] int64, index in NULL_CAUSES, -1 where there is a score. version: what the file says of its
    judge; all that it says, where it names several.
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

    def nulls(self, chosen: Any) -> list[tuple[str, Estimate]]:
        """How many of the chosen verdicts (an index of the arrays) have no score, by cause, under the metrics' names.

        n counts those that have one, n_null those that have none.
        """
        causes = self.causes[chosen].ravel()
        n = int(np.count_nonzero(causes < 0))
        return [
            (
                f"null_{cause.replace(' ', '_')}",
                Estimate(float(np.count_nonzero(causes == i)), n=n, n_null=causes.size - n),
            )
            for i, cause in enumerate(NULL_CAUSES)
        ]


@cache  # a control's verdicts are compared with those of every cell of its model
def read_verdicts(path: Path) -> Verdicts:
    """Read and check a file of verdicts. Raises CloserlookError where a row is no verdict, or one is missing or there twice."""
    columns = read_parquet(path, columns=["id", "aspect", "score", "null_cause", "judge"]).to_pydict()
    ids, aspects = ({name: i for i, name in enumerate(dict.fromkeys(columns[key]))} for key in ("id", "aspect"))
    scores = np.full((len(ids), len(aspects)), np.nan)
    causes = np.full(scores.shape, -2)
    rows = zip(columns["id"], columns["aspect"], columns["score"], columns["null_cause"], strict=True)
    for number, (id_, aspect, score, cause) in enumerate(rows):
        place = ids[id_], aspects[aspect]
        if causes[place] != -2:
            raise _broken(path, f"row {number}: a second verdict on the {aspect} of response {id_}")
        if not (cause in NULL_CAUSES if score is None else score in SCORES and cause is None):
            found = f"row {number}: score {score}, null_cause {cause}"
            raise _broken(path, f"{found}, expected a score of {SCORES} or one cause of {NULL_CAUSES}")
        scores[place] = np.nan if score is None else score
        causes[place] = NULL_CAUSES.index(cause) if score is None else -1
    if (causes == -2).any():
        response, aspect = np.argwhere(causes == -2)[0]
        raise _broken(path, f"response {list(ids)[response]} has no verdict on its {list(aspects)[aspect]}")
    return Verdicts(tuple(ids), tuple(aspects), scores, causes, " + ".join(sorted(set(columns["judge"]))))


def _broken(path: Path, found: str) -> CloserlookError:
    return CloserlookError(f"{path}: {found}; delete the file and run its command again")


def aligned(values: list[tuple[tuple[str, ...], np.ndarray]]) -> np.ndarray:
    """Columns of values that stand for the same instruction in one row: [instructions, columns], NaN where a column has none.

    values: for each column its ids and, in their order, its values. Rows are in the order in which ids first occur.
    """
    row_of = {id_: row for row, id_ in enumerate(dict.fromkeys(id_ for ids, _ in values for id_ in ids))}
    table = np.full((len(row_of), len(values)), np.nan)
    for column, (ids, numbers) in enumerate(values):
        table[[row_of[id_] for id_ in ids], column] = numbers
    return table
