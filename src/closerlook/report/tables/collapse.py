"""Trainings that broke the model: a loss that is not finite, or responses that are empty, repetitive or all the same."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from closerlook.cluster.attempts import read_failure
from closerlook.core import layout
from closerlook.core.files import read_parquet
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import labeled, response_tokens, shares
from closerlook.report.tables.table import IDENTITY, Files, Measured, Part, Table
from closerlook.stats.bootstrap import Estimate

GRAM = 4
REPETITIVE = 0.5
"""A text is repetitive if more than this share of its GRAM-grams of tokens occurred before in it.

Measured on sound texts, with words and signs for tokens: 0.2% of 9,229 responses of Alpaca are, 0.3% of 2,996 of Dolly, and
1.5% of 400 responses of gpt-3.5-turbo.
"""
SHARED = 0.1
"""A text is the same as many others if more than this share of all texts, and more than one, are that text."""
COLLAPSED = 0.25
"""A cell has collapsed if the share of its degenerate responses is this far above that of the responses it was tuned on."""
REFERENCE = 2000
"""Number of instances (the first; a dataset's order is random) that a dataset's rates are taken over."""

Rates = dict[str, Estimate]


def measure_dataset_degeneration(subset: Path, model: Path) -> Iterator[Measured]:
    """Rates of degenerate responses in the data that a model was tuned on: what to compare the model's own with."""
    yield from labeled({"what": "dataset_response"}, _dataset_rates(subset, model))


def measure_degeneration(responses: Path) -> Iterator[Measured]:
    """Rates of degenerate responses of a cell, and of those cut at the limit."""
    reasons = read_parquet(responses, columns=["finish_reason"])["finish_reason"].to_numpy()
    yield from labeled({"what": "model_response"}, _model_rates(responses) | shares({"length": reasons == "length"}))


def decide_collapse(manifest: Path, responses: Path, subset: Path, model: Path) -> Iterator[Measured]:
    """Whether the training diverged, and whether the model collapsed. Any of the files may be missing."""
    verdicts = {"diverged": diverged(manifest), "collapsed": collapsed(manifest, responses, subset, model)}
    n = _model_rates(responses)["degenerate"].n if responses.exists() else 0
    for name, verdict in verdicts.items():
        if verdict is not None:
            yield {"what": "model_response"}, name, Estimate(float(verdict), n=n)


def collapsed(manifest: Path, responses: Path, subset: Path, model: Path) -> bool | None:
    """Whether a training diverged, or COLLAPSED more of its responses are degenerate than of its data. None: not known yet."""
    if diverged(manifest):
        return True
    if not all(path.exists() for path in (responses, subset, model)):
        return None
    share, reference = (r["degenerate"].value for r in (_model_rates(responses), _dataset_rates(subset, model)))
    return None if share is None or reference is None else share - reference >= COLLAPSED


def diverged(manifest: Path) -> bool | None:
    """Whether a training ended because its loss was not finite. None: it has not ended, or for another reason."""
    if manifest.exists():
        return False
    failure = read_failure(manifest.parent, "train") or {}
    return True if failure.get("reason") == "non-finite loss" else None


@cache  # every cell that was tuned on a dataset needs its rates
def _dataset_rates(subset: Path, model: Path) -> Rates:
    texts = read_parquet(subset, columns=["response"])["response"].slice(0, REFERENCE).to_pylist()
    return rates(texts, response_tokens(model, texts))


@cache
def _model_rates(responses: Path) -> Rates:
    table = read_parquet(responses, columns=["text", "token_ids"])
    return rates(pc.fill_null(table["text"], "").to_pylist(), [ids or [] for ids in table["token_ids"].to_pylist()])


def rates(texts: Sequence[str], tokens: Sequence[Sequence[int]]) -> Rates:
    """Shares of degenerate texts, by kind and in all, with intervals over texts. tokens: of each text, in the same order."""
    stripped = [text.strip() for text in texts]
    empty = np.array([not text for text in stripped], dtype=bool)
    repetitive = np.array([repetition(ids) > REPETITIVE for ids in tokens], dtype=bool)
    counts = Counter(text for text in stripped if text)
    same = np.array([counts[text] > max(1.0, SHARED * len(texts)) for text in stripped], dtype=bool)
    return shares({"empty": empty, "repetitive": repetitive, "same": same, "degenerate": empty | repetitive | same})


def repetition(tokens: Sequence[int]) -> float:
    """Share of a text's GRAM-grams of tokens that occurred before in it (seq-rep-n of Welleck et al. 2020); 0 if it has none."""
    grams = [tuple(tokens[i : i + GRAM]) for i in range(len(tokens) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


VERDICT_FILES = (layout.manifest("{cell}"), Files.RESPONSES, Files.SUBSET, Files.MODEL)
"""What `collapsed` reads."""
_OF_MODEL = {"what": ("model_response",)}


COLLAPSE = Table(
    name="collapse",
    title="Trainings that broke the model",
    caption=(
        "One row per dataset and per cell: shares of degenerate responses, among those that a model was tuned on "
        "(dataset_response) and those that it gives (model_response). The scores of a collapsed cell show that its "
        "training failed, and nothing about its method."
    ),
    metrics=metrics.COLLAPSE,
    keys=("what",),
    parts=(
        Part(
            ("model", "dataset", "size"),
            (Files.SUBSET, Files.MODEL),
            measure_dataset_degeneration,
            tuple(metrics.DEGENERATE),
            keys={"what": ("dataset_response",)},
        ),
        Part(
            IDENTITY,
            (Files.RESPONSES,),
            measure_degeneration,
            (*metrics.DEGENERATE, "length"),
            controls=True,
            keys=_OF_MODEL,
        ),
        Part(IDENTITY, (), decide_collapse, ("diverged", "collapsed"), keys=_OF_MODEL, optional=VERDICT_FILES),
    ),
)
