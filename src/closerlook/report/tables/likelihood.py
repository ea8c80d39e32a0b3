"""How likely spans are to the base model and to those tuned on the same data, beside the rest of the same responses."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.core.schemas import BASE
from closerlook.report.tables import metrics
from closerlook.report.tables.selection import likely
from closerlook.report.tables.table import IDENTITY, Measured, Part, Table
from closerlook.stats.bootstrap import Estimate, ratios

PARTS = ("span", "rest")


def measure_likelihood(likelihood: Path) -> Iterator[Measured]:
    """Mean log-probability per token under each model, and what it has over the base's; n: responses with such tokens."""
    rows = read_parquet(likelihood, ["id", "start", "model", "tokens", "log_prob"]).to_pylist()
    models, ids = (list(dict.fromkeys(row[name] for row in rows)) for name in ("model", "id"))
    place = {id_: number for number, id_ in enumerate(ids)}
    for part in PARTS:
        sums: defaultdict[str, np.ndarray] = defaultdict(lambda: np.zeros((len(ids), 2)))
        for row in rows:
            if (row["start"] is None) == (part == "rest"):
                sums[row["model"]][place[row["id"]]] += (row["log_prob"], row["tokens"])
        for model in models:
            log_prob, tokens = sums[model].T
            base, same = sums[BASE].T
            if not np.array_equal(tokens, same):
                raise CloserlookError(
                    f"{likelihood}: {model} and {BASE} are asked about different tokens; make it again"
                )
            keys = {"under": model, "part": part}
            columns = [log_prob, log_prob - base] if model != BASE else [log_prob]
            for metric, mean in zip(
                ("log_prob", "difference"), ratios(np.column_stack(columns), tokens[:, None]), strict=False
            ):
                yield keys, metric, mean
            n = int(np.count_nonzero(tokens))
            yield keys, "tokens", Estimate(float(tokens.sum()), n=n, n_null=len(tokens) - n)


LIKELIHOOD = Table(
    title="Likelihood of spans under the base model and under those tuned on the same data",
    caption=(
        "Mean log-probability, in nats per token, of the tokens of marked spans under the base model and under each model "
        "that was tuned on the cell's data (under: its run), after the cell's prompt and its response up to the token; "
        "and of the other tokens of the same responses (part: rest), since a model finds the whole of its own response "
        "likely. Difference: less the base's, over the same tokens; intervals over responses."
    ),
    metrics=metrics.LIKELIHOOD,
    keys=("marker", "under", "part"),
    spread=("part",),
    asks_for="peers",
    parts=(
        Part(
            (*IDENTITY, "marker"),
            (layout.likelihood("{cell}", "{evalset}", "{marker}"),),
            measure_likelihood,
            tuple(metrics.LIKELIHOOD),
            over=likely,
        ),
    ),
)
