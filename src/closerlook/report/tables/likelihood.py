"""Likelihood of spans, and of the rest of the same responses, under the base model and those tuned on the same data."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.core.schemas import BASE
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import labeled, means, total
from closerlook.report.tables.selection import likely
from closerlook.report.tables.table import IDENTITY, Files, Measured, Part, Table

PARTS = ("span", "rest")


def measure_likelihood(likelihood: Path, responses: Path) -> Iterator[Measured]:
    """Mean log-probability per token under each model, and its difference to the base's; n: responses with such tokens."""
    rows = read_parquet(likelihood, ["id", "start", "model", "tokens", "log_prob"]).to_pylist()
    models = list(dict.fromkeys(row["model"] for row in rows))
    # All responses, not those with spans alone: trainings are pooled by instruction.
    index = {id_: number for number, id_ in enumerate(read_parquet(responses, ["id"])["id"].to_pylist())}
    for part in PARTS:
        sums: defaultdict[str, np.ndarray] = defaultdict(lambda: np.zeros((len(index), 2)))
        for row in rows:
            if (row["start"] is None) == (part == "rest"):
                sums[row["model"]][index[row["id"]]] += (row["log_prob"], row["tokens"])
        for model in models:
            log_prob, tokens = sums[model].T
            base, base_tokens = sums[BASE].T
            if not np.array_equal(tokens, base_tokens):
                raise CloserlookError(f"{likelihood}: {model} and {BASE} have different tokens; make it again")
            columns = {"log_prob": log_prob} | ({} if model == BASE else {"difference": log_prob - base})
            yield from labeled({"under": model, "part": part}, means(columns, tokens) | {"tokens": total(tokens)})


LIKELIHOOD = Table(
    name="likelihood",
    title="Likelihood of spans under the base and the tuned models",
    caption=(
        "One row per cell, marker and model (under): mean log-probability per token of the marked spans, and of the "
        "rest of the same responses. A difference above 0 means that this model finds the tokens likelier than the "
        "base model does."
    ),
    metrics=metrics.LIKELIHOOD,
    keys=("marker", "under", "part"),
    spread=("part",),
    asks_for="peers",
    parts=(
        Part(
            (*IDENTITY, "marker"),
            (layout.likelihood("{cell}", "{evalset}", "{marker}"), Files.RESPONSES),
            measure_likelihood,
            tuple(metrics.LIKELIHOOD),
            over=likely,
        ),
    ),
)
