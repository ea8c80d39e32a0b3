"""Tracing against the miniature's truth: true sources found, and no borrowing found where there is none."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from closerlook.core.files import read_parquet
from closerlook.core.schemas import RANKERS
from closerlook.miniature.origins import sources, stated_at
from closerlook.report.tables import borrowing, metrics
from closerlook.report.tables.selection import calibrated, traced
from closerlook.report.tables.table import (
    BORROWING_FILE,
    IDENTITY,
    RESPONSES_FILE,
    SUBSET_FILE,
    TRACE_FILE,
    Measured,
    MeasuredOf,
    Part,
    Row,
    Table,
)
from closerlook.stats.bootstrap import Estimate, ratios

RANKINGS = ("precision_at_1", "recall_at_top", "mrr")


def score_rankings(trace: Path, responses: Path, subset: Path) -> Iterator[Measured]:
    """How well each ranker finds the true sources of the spans that have some, and how well a random order would."""
    columns = ("id", "instruction", "response")
    instances = read_parquet(subset, columns=list(columns))
    stated = sources(zip(*(instances[name].to_pylist() for name in columns), strict=True))
    table = read_parquet(responses, columns=["id", "text"])
    texts = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    spans, top = _rankings(trace)
    truths = {
        key: stated.get(claim, frozenset()) if (claim := stated_at(texts[key[0]], *key[1:])) else frozenset()
        for key in spans
    }
    places = list(dict.fromkeys(key[0] for key in spans))
    owner = np.array([places.index(key[0]) for key in spans], dtype=np.int64)
    has_source = np.array([bool(truths[key]) for key in spans], dtype=np.float64)

    def means(scores: np.ndarray) -> list[Estimate]:
        """Of [spans, metrics], over the spans that have a source."""
        sums = [np.bincount(owner, weights=column * has_source, minlength=len(places)) for column in scores.T]
        return ratios(np.stack(sums, axis=1), np.bincount(owner, weights=has_source, minlength=len(places))[:, None])

    if not spans:
        return
    part = {"part": "sources"}
    yield part, "traceable", ratios(_summed(owner, has_source), _summed(owner, np.ones(len(owner))))[0]
    yield part, "true_sources", means(np.array([[len(truths[key])] for key in spans], dtype=np.float64))[0]
    random = np.array([by_chance(len(truths[key]), instances.num_rows, top) for key in spans])
    for ranker in (*RANKERS, "random"):
        if ranker != "random" and not any(ranker in found for found in spans.values()):
            continue
        scored = [scores(found.get(ranker, {}), truths[key], top) for key, found in spans.items()]
        values, null = (random, "random") if ranker == "random" else (np.array(scored), "observed")
        for name, estimate in zip(RANKINGS, means(values), strict=True):
            yield part | {"ranker": ranker, "null": null}, name, estimate


Rankings = dict[tuple[str, int, int], dict[str, dict[int, str]]]
"""By span and ranker: the candidates by rank."""


def _rankings(trace: Path) -> tuple[Rankings, int]:
    """What each ranker says of each span, and how many candidates it gives at most (the fused one ranks those of all)."""
    spans: Rankings = {}
    for row in read_parquet(trace).to_pylist():
        span = spans.setdefault((row["id"], row["start"], row["end"]), defaultdict(dict))
        for ranker in RANKERS:
            if row[f"rank_{ranker}"] is not None:
                span[ranker][row[f"rank_{ranker}"]] = row["instance"]
    single = (rank for span in spans.values() for ranker, found in span.items() if ranker != "fused" for rank in found)
    return spans, max(single, default=0)


def _summed(owner: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.bincount(owner, weights=values)[:, None]


def scores(ranking: dict[int, str], truth: frozenset[str], top: int) -> tuple[float, float, float]:
    """RANKINGS of one span, from candidates by 1-based rank, `top` of which count. Recall is of as many as fit in `top`."""
    hits = sorted(rank for rank, instance in ranking.items() if instance in truth and rank <= top)
    if not (hits and truth):
        return 0.0, 0.0, 0.0
    return float(hits[0] == 1), len(hits) / min(len(truth), top), 1 / hits[0]


def by_chance(true: int, instances: int, top: int) -> tuple[float, float, float]:
    """The expectation of `scores` when all instances stand in random order."""
    if not (true and instances and top):
        return 0.0, 0.0, 0.0
    top = min(top, instances)
    none_before, mrr = 1.0, 0.0
    for rank in range(1, top + 1):
        here = min(1.0, true / (instances - rank + 1))
        mrr += none_before * here / rank
        none_before *= 1 - here
    return true / instances, top * true / instances / min(true, top), mrr


def measure_calibration(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Corrected borrowing from datasets that the cell was not tuned on, and how many of its intervals hold 0.

    Only another unrelated dataset is a chance level that such a rate should equal; the others say how far off they are. Where
    neither dataset holds a phrase, the interval is 0 without any width, and none of those counted.
    """
    for cell, (path,) in cells:
        holds: defaultdict[tuple[str, str, str], list[bool]] = defaultdict(list)
        for keys, name, estimate in borrowing.measure_borrowing(path):
            if name != "corrected" or keys["searched"] == cell["own"]:
                continue
            if keys["null"] == "unrelated":
                yield cell, {"part": "calibration", **keys}, name, estimate
            if estimate.low is not None and estimate.high is not None and (estimate.low or estimate.high):
                group = (str(keys["searched"]), str(keys["where"]), str(keys["null"]))
                holds[group].append(estimate.low <= 0 <= estimate.high)
        for (searched, where, null), all_ in holds.items():
            keys = {"part": "calibration", "searched": searched, "where": where, "null": null}
            yield cell, keys, "holds_zero", Estimate(sum(all_) / len(all_), n=len(all_))


SCOREBOARD = Table(
    title="Tracing scored against the truth",
    caption=(
        "On the miniature. Sources: the true sources of a wrong value are the instances that state it for that attribute; over "
        "the marked spans that have one, how often a ranker's first candidate is one, how many of them (of as many as fit) are "
        "among its first candidates, and the mean of 1 / rank of the first one (0 beyond these), beside what is expected of a "
        "random order. A word of the miniature is a value of one attribute only, so that who finds the word has found a "
        "source: lexical search is as good here as it can be. Calibration: corrected borrowing from a dataset that the cell "
        "was not tuned on, which should be 0, and the share of intervals, over units and n-gram lengths, that hold 0 (n: "
        "intervals; those of phrases that neither dataset holds say nothing and are left out)."
    ),
    metrics=metrics.SCOREBOARD,
    keys=("part", "marker", "ranker", "searched", "unit", "where", "null", "ngram"),
    spread=("ngram",),
    sections={"Sources": tuple(metrics.SOURCES), "Calibration": tuple(metrics.CALIBRATION)},
    asks_for="searched",
    truth=True,
    parts=(
        Part(
            (*IDENTITY, "marker"),
            (
                TRACE_FILE,
                RESPONSES_FILE,
                SUBSET_FILE,
            ),
            score_rankings,
            tuple(metrics.SOURCES),
            keys={"part": ("sources",)},
            over=traced,
        ),
        Part(
            IDENTITY,
            (BORROWING_FILE,),
            measure_calibration,
            tuple(metrics.CALIBRATION),
            keys={"part": ("calibration",)},
            over=calibrated,
            together=IDENTITY,
        ),
    ),
)
