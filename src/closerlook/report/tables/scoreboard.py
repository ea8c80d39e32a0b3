"""Tracing scored on the miniature, whose truth is known: true sources found, and borrowing where there can be none."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from closerlook.core.files import read_by_id, read_ids, read_parquet
from closerlook.core.schemas import RANKERS
from closerlook.miniature.origins import find_claim_at, instances_by_claim
from closerlook.report.tables import metrics
from closerlook.report.tables.abstention import measure_abstention
from closerlook.report.tables.borrowing import measure_borrowing
from closerlook.report.tables.measuring import labeled, means, shares
from closerlook.report.tables.origin import TRACED, Key, TracedSpan, read_trace, sum_by_response
from closerlook.report.tables.selection import calibrated, traced
from closerlook.report.tables.table import IDENTITY, Files, Measured, MeasuredOf, Part, Row, Table
from closerlook.stats.bootstrap import Estimate

RANKINGS = ("precision_at_1", "recall_at_top", "mrr")
RANDOM = "random"
"""The ranker that returns all instances in random order."""


def score_rankings(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """How well each ranker finds the true sources of the spans that have some, and how well a random order would."""
    for cell, (trace, responses, subset) in cells:
        spans = read_trace(trace, cell["searched"])
        yield from ((cell, *measured) for measured in (_score_spans(spans, responses, subset) if spans else ()))


def _score_spans(spans: dict[Key, TracedSpan], responses: Path, subset: Path) -> Iterator[Measured]:
    truths = true_sources(spans, responses, subset)
    ids = read_ids(responses)
    rankings, top = read_rankings(spans)

    def over_sourced(
        estimate: Callable[..., dict[str, Estimate]], names: tuple[str, ...], scores: Iterable[tuple[float, ...]]
    ) -> dict[str, Estimate]:
        """Means or shares of each span's scores over the spans that have a source, by name of the metric."""
        columns = zip(*scores, strict=True)
        sums = [
            sum_by_response(
                spans, [score if truths[key] else None for key, score in zip(spans, column, strict=True)], ids
            )
            for column in columns
        ]
        return estimate(dict(zip(names, (total for total, _ in sums), strict=True)), sums[0][1])

    part = {"part": "sources"}
    sourced, n_spans = sum_by_response(spans, [bool(truths[key]) for key in spans], ids)
    yield from labeled(part, shares({"traceable": sourced}, n_spans))
    yield from labeled(part, over_sourced(means, ("true_sources",), ((len(truths[key]),) for key in spans)))
    for ranker, ranking in rankings.items():
        if any(ranking.values()):
            scores = (score_ranking(ranking[key], truths[key], top) for key in spans)
            keys = part | {"ranker": ranker, "null": "observed"}
            yield from labeled(keys, over_sourced(shares, RANKINGS, scores))
            yield from labeled(keys, measure_abstention(spans, truths, ranker, ids))
    size = read_parquet(subset, columns=["id"]).num_rows
    random = (expected_scores(len(truths[key]), size, top) for key in spans)
    yield from labeled(part | {"ranker": RANDOM, "null": RANDOM}, over_sourced(means, RANKINGS, random))


def read_rankings(spans: Mapping[Key, TracedSpan]) -> tuple[dict[str, dict[Key, dict[int, str]]], int]:
    """The candidates of each span by 1-based rank, by ranker and span; and how many candidates of a ranker were kept."""
    rankings = {
        ranker: {
            key: {rank: row["instance"] for rank, row in span.ranked[ranker].items()} for key, span in spans.items()
        }
        for ranker in RANKERS
    }
    # The fused ranker ranks the candidates of all others, which give at most `top` each.
    ranks = (rank for name in RANKERS if name != "fused" for found in rankings[name].values() for rank in found)
    return rankings, max(ranks, default=0)


def true_sources(spans: Iterable[Key], responses: Path, dataset: Path) -> dict[Key, frozenset[str]]:
    """The ids of the instances of a dataset that state the value of each span for its attribute."""
    instances = read_parquet(dataset, columns=["id", "instruction", "response"])
    stated = instances_by_claim(zip(*(column.to_pylist() for column in instances.columns), strict=True))
    texts = read_by_id(responses, "text")
    claims = {key: find_claim_at(texts[key[0]], *key[1:]) for key in spans}
    return {key: stated.get(claim, frozenset()) if claim else frozenset() for key, claim in claims.items()}


def score_ranking(ranking: dict[int, str], truth: frozenset[str], top: int) -> tuple[float, float, float]:
    """RANKINGS of one span, from candidates by 1-based rank, `top` of which count. Recall is of as many as fit in `top`."""
    hits = sorted(rank for rank, instance in ranking.items() if instance in truth and rank <= top)
    if not (hits and truth):
        return 0.0, 0.0, 0.0
    return float(hits[0] == 1), len(hits) / min(len(truth), top), 1 / hits[0]


def expected_scores(true: int, instances: int, top: int) -> tuple[float, float, float]:
    """The expectation of `score_ranking` for all instances in random order."""
    if not (true and instances and top):
        return 0.0, 0.0, 0.0
    top = min(top, instances)
    none_before, mrr = 1.0, 0.0
    for rank in range(1, top + 1):
        probability = min(1.0, true / (instances - rank + 1))
        mrr += none_before * probability / rank
        none_before *= 1 - probability
    return true / instances, top * true / instances / min(true, top), mrr


def measure_calibration(cells: list[tuple[Row, list[Path]]]) -> Iterator[MeasuredOf]:
    """Differences of borrowing from datasets that the cell was not tuned on, and the share of their intervals that contain 0.

    They show how far from 0 each comparison is where nothing was borrowed. Differences of phrases that neither dataset contains
    are 0 without an interval, and are not counted.
    """
    for cell, (path,) in cells:
        contain_zero: defaultdict[tuple[str, str, str], list[bool]] = defaultdict(list)
        for keys, name, estimate in measure_borrowing(path):
            if name != "difference" or keys["searched"] == cell["own"]:
                continue
            if keys["null"] == "unrelated":
                yield cell, {"part": "calibration", **keys}, name, estimate
            if estimate.n > 1 and estimate.value is not None and (estimate.value or estimate.low is not None):
                group = (str(keys["searched"]), str(keys["where"]), str(keys["null"]))
                low, high = (estimate.value if end is None else end for end in estimate[1:3])
                contain_zero[group].append(low <= 0 <= high)
        for (searched, where, null), flags in contain_zero.items():
            keys = {"part": "calibration", "searched": searched, "where": where, "null": null}
            yield cell, keys, "holds_zero", Estimate(sum(flags) / len(flags), n=len(flags))


SCOREBOARD = Table(
    name="tracing_scoreboard",
    title="Tracing scored against the truth",
    caption=(
        "One row per cell, dataset searched and ranker: how well it finds the true sources of wrong values, which are known "
        "on the miniature. Under Calibration, what each comparison gives for a dataset that the cell was not tuned on."
    ),
    metrics=metrics.SCOREBOARD,
    keys=("part", "marker", "ranker", "searched", "unit", "where", "null", "ngram"),
    spread=("ngram",),
    sections={"Sources": tuple(metrics.SOURCES), "Calibration": tuple(metrics.CALIBRATION)},
    asks_for="searched",
    truth=True,
    parts=(
        Part(
            TRACED,
            (Files.TRACE, Files.RESPONSES, Files.SEARCHED),
            score_rankings,
            tuple(metrics.SOURCES),
            controls=True,
            keys={"part": ("sources",)},
            over=traced,
            together=TRACED,
        ),
        Part(
            IDENTITY,
            (Files.BORROWING,),
            measure_calibration,
            tuple(metrics.CALIBRATION),
            keys={"part": ("calibration",)},
            over=calibrated,
            together=IDENTITY,
        ),
    ),
)
