"""Rankers scored on made-up answers whose sources are known, in worlds where word search is not right by construction."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.core.files import read_parquet
from closerlook.report.tables import metrics
from closerlook.report.tables.abstention import measure_abstention
from closerlook.report.tables.measuring import labeled, means, shares
from closerlook.report.tables.origin import read_trace
from closerlook.report.tables.scoreboard import RANDOM, expected_scores, read_rankings, score_ranking
from closerlook.report.tables.selection import tried
from closerlook.report.tables.table import Measured, Part, Table


def measure_trials(answers: Path, instances: Path, trace: Path) -> Iterator[Measured]:
    """How well each ranker finds the sources of a world's answers, and how well it abstains where there is none."""
    rows = read_parquet(answers).to_pylist()
    parts = {(row["id"], row["start"], row["end"]): [frozenset(part) for part in row["sources"]] for row in rows}
    truths = {key: frozenset[str]().union(*each) for key, each in parts.items()}
    ids = [row["id"] for row in rows]
    spans = read_trace(trace, instances.parent.name)
    rankings, top = read_rankings(spans)
    sourced = np.array([bool(truths[key]) for key in spans], dtype=np.float64)
    del rankings["gradient"]  # no model gave the answers
    for ranker, ranking in rankings.items():
        scores = [score_ranking(ranking[key], truths[key], top) for key in spans]
        found = [_parts_found(ranking[key].values(), parts[key]) for key in spans]
        columns = {
            "precision_at_1": np.array([first for first, _, _ in scores]),
            "parts_found": np.array(found),
            "mrr": np.array([mrr for _, _, mrr in scores]),
        }
        yield from labeled({"ranker": ranker}, shares(columns, sourced))
        yield from labeled({"ranker": ranker}, measure_abstention(spans, truths, ranker, ids))
    size = read_parquet(instances, columns=["id"]).num_rows
    random = [expected_scores(len(truths[key]), size, top) for key in spans]
    columns = {name: np.array([score[i] for score in random]) for i, name in ((0, "precision_at_1"), (2, "mrr"))}
    columns["parts_found"] = np.array([_parts_found_by_chance(parts[key], size, top) for key in spans])
    yield from labeled({"ranker": RANDOM}, means(columns, sourced))


def _parts_found(found: Collection[str], parts: Sequence[frozenset[str]]) -> float:
    """The share of a span's parts of which a source is among the candidates."""
    return float(np.mean([not part.isdisjoint(found) for part in parts])) if parts else 0.0


def _parts_found_by_chance(parts: Sequence[frozenset[str]], instances: int, top: int) -> float:
    """The expectation of that share for `top` random instances."""
    none = [np.prod([(instances - len(part) - i) / (instances - i) for i in range(top)]) for part in parts]
    return float(1 - np.mean(none)) if parts else 0.0


TRIALS = Table(
    name="trials",
    title="Rankers on made-up answers whose sources are known",
    caption=(
        "One row per world and ranker: how often it finds a source of the answers that have one, and how often it is right on "
        "all answers, half of which have none, if it always answers and if it may abstain. No model gave the answers."
    ),
    metrics=metrics.TRIALS,
    keys=("world", "ranker"),
    unit="answers",
    selective=True,
    parts=(
        Part(
            ("world",),
            (layout.trials("{world}"), layout.trial_instances("{world}"), layout.trial_trace("{world}")),
            measure_trials,
            tuple(metrics.TRIALS),
            controls=True,
            over=tried,
        ),
    ),
)
