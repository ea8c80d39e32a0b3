"""Lengths of the responses that a model was tuned on, and of those that it gives (Table 11)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from closerlook.core.files import read_parquet
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import floats, labeled, means, response_tokens, shares
from closerlook.report.tables.table import IDENTITY, Files, Measured, Part, Table

FINISH_REASONS = ("eos", "stop", "length")


def measure_dataset_lengths(subset: Path, model: Path) -> Iterator[Measured]:
    """Mean tokens (without end-of-sequence, by the model's tokenizer) and characters of a dataset's responses."""
    responses = read_parquet(subset, columns=["response"])["response"]
    tokens = np.array([len(ids) for ids in response_tokens(model, responses.to_pylist())])
    lengths = {"tokens": tokens, "characters": floats(pc.utf8_length(responses))}
    yield from labeled({"what": "dataset_response"}, means(lengths))


def measure_response_lengths(responses: Path) -> Iterator[Measured]:
    """Mean tokens and characters of a model's responses, and how they ended. An empty response has length 0."""
    table = read_parquet(responses, columns=["token_ids", "text", "finish_reason"])
    columns = {
        "tokens": floats(pc.list_value_length(table["token_ids"])),
        "characters": floats(pc.utf8_length(table["text"])),
    }
    reasons = {reason: floats(pc.equal(table["finish_reason"], reason)) for reason in FINISH_REASONS}
    yield from labeled({"what": "model_response"}, means(columns) | shares(reasons))


LENGTHS = Table(
    name="lengths",
    title="Lengths of the dataset's and the models' responses",
    caption=(
        "One row per dataset and per cell: mean length of the responses that a model was tuned on (dataset_response) "
        "or gives (model_response), as in Table 11 of the paper. If many responses are cut at max_new_tokens, the "
        "model's true mean is higher."
    ),
    metrics=metrics.LENGTHS,
    keys=("what",),
    parts=(
        Part(
            ("model", "dataset", "size"),
            (Files.SUBSET, Files.MODEL),
            measure_dataset_lengths,
            tuple(metrics.DATASET_LENGTHS),
            keys={"what": ("dataset_response",)},
        ),
        Part(
            IDENTITY,
            (Files.RESPONSES,),
            measure_response_lengths,
            tuple(metrics.LENGTHS),
            controls=True,
            keys={"what": ("model_response",)},
        ),
    ),
)
