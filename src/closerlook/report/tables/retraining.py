"""Rankers scored by retraining: how well their scores predict the likelihood of spans in models tuned on parts of the data."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from closerlook.core import layout
from closerlook.core.files import read_by_id, read_ids, read_parquet
from closerlook.core.schemas import RANKERS
from closerlook.report.tables import metrics
from closerlook.report.tables.ablation import units_of
from closerlook.report.tables.accuracy import STATED, times_group
from closerlook.report.tables.measuring import damaged, share_of
from closerlook.report.tables.origin import Key
from closerlook.report.tables.scoreboard import true_sources
from closerlook.report.tables.selection import retrained
from closerlook.report.tables.table import IDENTITY, Files, MeasuredOf, Part, Row, Table
from closerlook.stats.bootstrap import Estimate
from closerlook.stats.datamodels import Correlations, correlate, mean_correlation

STATES = "states"
"""A ranker that knows the truth of the miniature: 1 for an instance that states the span's value for its attribute."""
ANY = "any"


def measure_retraining(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """The linear datamodeling score of each ranker, of all spans and by how many instances state their value.

    cells: a row per model that was tuned on a part of the dataset (see `selection.retrained`), with INSTANCE_SCORES, LIKELIHOOD,
    the responses, the dataset, and the model's part of it.
    """
    cell, (scores, likelihood, responses, dataset, _) = cells[0]
    table, ids = read_parquet(scores), read_ids(dataset)
    spans: list[Key] = list(zip(*(table[name].to_pylist() for name in ("id", "start", "end")), strict=True))
    if not spans:
        return
    outcomes = _read_log_probs(likelihood, spans, [row["under"] for row, _ in cells])
    trained = np.array([np.isin(ids, list(read_by_id(part, "id"))) for _, (*_, part) in cells], dtype=np.float64)
    rankers = {name: _matrix(table[name], len(ids), scores) for name in RANKERS}
    groups = {ANY: np.ones(len(spans), bool)}
    if cell["truth_known"]:
        sources = true_sources(spans, responses, dataset)
        rankers[STATES] = np.array([np.isin(ids, list(sources[span])) for span in spans], dtype=np.float64)
        stated = np.array([times_group(len(sources[span])) for span in spans])
        groups |= {group: members for group in STATED if (members := stated == group).any()}
    # Rounded, so that sums of the same numbers in another order are the same.
    predicted = {name: (matrix @ trained.T).astype(np.float32) for name, matrix in rankers.items()}
    found = {name: correlate(each, outcomes) for name, each in predicted.items() if not np.isnan(each).all()}
    texts = read_by_id(responses, "text")
    units = units_of([{"id": id_, "quote": texts[id_][start:end]} for id_, start, end in spans])
    for group, members in groups.items():
        for name, correlations in found.items():
            keys = {"ranker": name, "stated": group}
            yield cell, keys, "lds", mean_correlation(correlations.of(members), units[members])
            if name != STATES and STATES in found:
                difference = correlations.minus(found[STATES])
                yield cell, keys, "difference_to_states", mean_correlation(difference.of(members), units[members], 2)
            yield from ((cell, keys, *counted) for counted in _counts(correlations, predicted[name], units, members))


def _counts(
    correlations: Correlations, predicted: np.ndarray, units: np.ndarray, members: np.ndarray
) -> Iterator[tuple[str, Estimate]]:
    """The share of spans of which the ranker predicts anything, the number of spans that count, and that of models."""
    valid = members & np.isfinite(correlations.over_all)
    n = len(np.unique(units[valid]))
    if n:
        yield "predicted", share_of((np.ptp(predicted, axis=1) > 0).astype(np.float64), units, valid)
    yield "spans", Estimate(float(valid.sum()), n=n)
    yield "models", Estimate(float(len(correlations.without)), n=n)


def _read_log_probs(path: Path, spans: Sequence[Key], models: Sequence[str]) -> np.ndarray:
    """The log-probability in nats of each span under each model: [spans, models] float64."""
    columns = ("model", "id", "start", "end", "log_prob")
    rows = zip(
        *(column.to_pylist() for column in read_parquet(path, list(columns)).select(columns).columns), strict=True
    )
    log_prob = {tuple(key): value for *key, value in rows}
    try:
        return np.array([[log_prob[model, *span] for model in models] for span in spans], dtype=np.float64)
    except KeyError as error:
        raise damaged(path, f"has no log-probability of {error}") from None


def _matrix(lists: pa.ChunkedArray, instances: int, path: Path) -> np.ndarray:
    """The scores of all instances for each span, NaN where a span has none: [spans, instances] float64."""
    lengths = pc.list_value_length(lists)
    if any(length != instances for length in pc.unique(lengths.drop_null()).to_pylist()):
        raise damaged(path, f"has scores of {pc.max(lengths)} instances, expected {instances}")
    matrix = np.full((len(lists), instances), np.nan)
    matrix[pc.is_valid(lists).to_numpy()] = pc.list_flatten(lists).to_numpy().reshape(-1, instances)
    return matrix


_CELL = (*IDENTITY, "marker")

RETRAINING = Table(
    name="retraining",
    title="Rankers scored by retraining",
    caption=(
        "One row per cell, ranker and number of instances that state a span's value (stated): how well the sum of a ranker's "
        "scores of the instances in a random part of the data predicts how likely the span is after tuning on that part (rank "
        "correlation; intervals cover other parts and seeds too). The ranker states is the truth of tracing_scoreboard."
    ),
    metrics=metrics.RETRAINING,
    keys=("marker", "ranker", "stated"),
    unit="values",
    asks_for="retrained",
    parts=(
        Part(
            _CELL,
            (
                layout.instance_scores("{cell}", "{evalset}", "{marker}"),
                layout.retrained("{cell}", "{evalset}", "{marker}"),
                Files.RESPONSES,
                Files.SUBSET,
                layout.dataset("{part}"),
            ),
            measure_retraining,
            ("lds",),
            over=retrained,
            together=_CELL,
        ),
    ),
)
