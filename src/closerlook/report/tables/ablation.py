"""The causal test: do spans return after training without the instances that they were traced to?"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_by_id
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import labeled, means, shares
from closerlook.report.tables.selection import ablated
from closerlook.report.tables.table import IDENTITY, Files, Measured, Part, Table
from closerlook.spans.inputs import words_only
from closerlook.stats.bootstrap import Estimate
from closerlook.stats.paired_tests import p_value

SIDES = ("original", "traced", "similar")
"""The cell itself, and what was left out of its data."""

Spans = list[dict[str, Any]]
"""Sampled spans in a report of closerlook.derive.ablate: id, quote, and for each arm the instances left out and similarity."""


def measure_ablation(report: Path, original: Path, traced: Path, similar: Path) -> Iterator[Measured]:
    """Shares of sampled spans that return in each cell's responses, and in other responses, and the difference of the arms."""
    spans = _read_spans(report)
    rows = {id_: row for row, id_ in enumerate(dict.fromkeys(span["id"] for span in spans))}
    owner = np.array([rows[span["id"]] for span in spans])

    def by_response(values: np.ndarray) -> np.ndarray:
        return np.bincount(owner, weights=values, minlength=len(rows))

    count = by_response(np.ones(len(spans)))
    returns = {side: returned(spans, file) for side, file in zip(SIDES, (original, traced, similar), strict=True)}
    for side, (same, other) in returns.items():
        yield from labeled(
            {"side": side}, shares({"returned": by_response(same), "elsewhere": by_response(other)}, count)
        )
    difference = by_response(returns["similar"][0]) - by_response(returns["traced"][0])
    share = means({"returned": difference}, count)["returned"]
    yield {"side": "difference"}, "returned", share
    yield {"side": "difference"}, "p", Estimate(p_value(difference), n=share.n, n_null=share.n_null)
    yield {"side": "original"}, "spans", Estimate(float(len(spans)), n=len(rows))
    for side in SIDES[1:]:
        similarities = [value for span in spans for value in span[side]["similarity"]]
        yield {"side": side}, "instances", Estimate(float(len(similarities)), n=len(rows))
        yield {"side": side}, "similarity", Estimate(float(np.mean(similarities)), n=len(rows))


def returned(spans: Spans, responses: Path) -> tuple[np.ndarray, np.ndarray]:
    """For each span: 1.0 if the response to its instruction contains its words; the share of other responses that do."""
    texts = {id_: words_only(text) for id_, text in read_by_id(responses, "text").items()}
    same, other = [], []
    for span in spans:
        if span["id"] not in texts:
            raise CloserlookError(f"{responses}: has no response to {span['id']}; generate it again")
        phrase = words_only(span["quote"])
        contains = {id_: phrase in text for id_, text in texts.items()}
        same.append(contains.pop(span["id"]))
        other.append(np.mean(list(contains.values())) if contains else np.nan)
    return np.array(same, dtype=np.float64), np.array(other, dtype=np.float64)


def _read_spans(report: Path) -> Spans:
    try:
        spans: Spans = json.loads(report.read_text(encoding="utf-8"))["sampled"]
        valid = bool(spans) and all(span["id"] and span["quote"] for span in spans)
        valid = valid and all(isinstance(span[side]["similarity"], Sequence) for span in spans for side in SIDES[1:])
    except (ValueError, KeyError, TypeError) as error:
        raise CloserlookError(
            f"{report}: is no report of a dataset without traced instances ({error!r}); make it again"
        ) from None
    if not valid:
        raise CloserlookError(f"{report}: names no sampled spans; make the dataset again")
    return spans


ABLATION = Table(
    name="ablation",
    title="Spans after training without their traced instances",
    caption=(
        "One row per sample of spans of the cell in against: how often they return after training without the "
        "instances they were traced to (traced), and without as many similar instances (similar). A difference "
        "(similar minus traced) above 0 means that the traced instances cause the spans."
    ),
    metrics=metrics.ABLATION,
    keys=("against", "marker", "side"),
    spread=("side",),
    asks_for="ablation_of",
    parts=(
        Part(
            (*IDENTITY, "against", "marker"),
            (
                layout.dataset_report("{dataset}"),
                layout.responses("{ablation_of}", "{evalset}"),
                Files.RESPONSES,
                layout.responses("{ablation_control}", "{evalset}"),
            ),
            measure_ablation,
            tuple(metrics.ABLATION),
            over=ablated,
        ),
    ),
)
