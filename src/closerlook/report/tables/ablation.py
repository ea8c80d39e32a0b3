"""The causal test: do the phrases of spans return after training without what they were traced to?"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.report.tables import metrics
from closerlook.report.tables.selection import ablated
from closerlook.report.tables.table import IDENTITY, RESPONSES_FILE, Measured, Part, Table
from closerlook.spans.located import words_only
from closerlook.stats.bootstrap import Estimate, ratios
from closerlook.stats.paired_tests import p_value

SIDES = ("original", "traced", "similar")
"""The cell as it was, and what was left out of its data."""

Sampled = list[dict[str, Any]]
"""Spans of the report of closerlook.derive.ablate: id, quote, and of what either take left out the instances and similarity."""


def measure_ablation(report: Path, original: Path, traced: Path, similar: Path) -> Iterator[Measured]:
    """How often the sampled spans return in each cell's responses, beside chance, and the difference that the instances make."""
    sampled = _sampled(report)
    owners = {id_: place for place, id_ in enumerate(dict.fromkeys(span["id"] for span in sampled))}
    owner = np.array([owners[span["id"]] for span in sampled])

    def per_response(values: np.ndarray) -> np.ndarray:
        return np.bincount(owner, weights=values, minlength=len(owners))

    count = per_response(np.ones(len(sampled)))[:, None]
    found = {side: returned(sampled, file) for side, file in zip(SIDES, (original, traced, similar), strict=True)}
    for side, (here, elsewhere) in found.items():
        values = np.column_stack([per_response(here), per_response(elsewhere)])
        for metric, share in zip(("returned", "chance"), ratios(values, count), strict=True):
            yield {"side": side}, metric, share
    difference = per_response(found["similar"][0]) - per_response(found["traced"][0])
    share = ratios(difference[:, None], count)[0]
    yield {"side": "difference"}, "returned", share
    yield {"side": "difference"}, "p", Estimate(p_value(difference), n=share.n, n_null=share.n_null)
    yield {"side": "original"}, "spans", Estimate(float(len(sampled)), n=len(owners))
    for side in SIDES[1:]:
        similarities = [value for span in sampled for value in span[side]["similarity"]]
        yield {"side": side}, "instances", Estimate(float(len(similarities)), n=len(owners))
        yield {"side": side}, "similarity", Estimate(float(np.mean(similarities)), n=len(owners))


def returned(sampled: Sampled, responses: Path) -> tuple[np.ndarray, np.ndarray]:
    """Of each span: 1.0 where its words stand in the response to the same instruction; the share of the others that hold them."""
    texts = {row["id"]: words_only(row["text"]) for row in read_parquet(responses, ["id", "text"]).to_pylist()}
    here, elsewhere = [], []
    for span in sampled:
        if span["id"] not in texts:
            raise CloserlookError(f"{responses}: has no response to {span['id']}; generate it again")
        phrase = words_only(span["quote"])
        holds = {id_: phrase in text for id_, text in texts.items()}
        here.append(holds.pop(span["id"]))
        elsewhere.append(np.mean(list(holds.values())) if holds else np.nan)
    return np.array(here, dtype=np.float64), np.array(elsewhere, dtype=np.float64)


def _sampled(report: Path) -> Sampled:
    try:
        sampled: Sampled = json.loads(report.read_text(encoding="utf-8"))["sampled"]
        whole = bool(sampled) and all(span["id"] and span["quote"] for span in sampled)
        whole = whole and all(isinstance(span[side]["similarity"], Sequence) for span in sampled for side in SIDES[1:])
    except (ValueError, KeyError, TypeError) as error:
        raise CloserlookError(
            f"{report}: is no report of a dataset without traced instances ({error!r}); make it again"
        ) from None
    if not whole:
        raise CloserlookError(f"{report}: names no sampled spans; make the dataset again")
    return sampled


ABLATION = Table(
    title="Spans after training without the instances they were traced to",
    caption=(
        "The causal test. For a sample of traced spans of the cell in `against`, its training was repeated without the "
        "instances that they were traced to, and once more without as many untraced ones, as similar to the instruction "
        "and response (similarity: means of what was left out). Returned: spans whose words, side by side and case "
        "ignored, stand in the new answer to the same instruction; in the original's answer they stand by construction. "
        "Chance: the same words in that cell's answers to other instructions. Difference: returned without the similar "
        "instances less returned without the traced; its p is of the exact permutation test over responses (of which side "
        "is which). Spans whose words stand in the instruction are not sampled. Above 0, what the spans were traced to is "
        "what they come from. Each side is one training: what another seed would change is in no interval."
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
                RESPONSES_FILE,
                layout.responses("{ablation_control}", "{evalset}"),
            ),
            measure_ablation,
            tuple(metrics.ABLATION),
            over=ablated,
        ),
    ),
)
