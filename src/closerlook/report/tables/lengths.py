"""How long the responses are that a model was tuned on, and those that it gives (Table 11)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from closerlook.core.files import read_parquet
from closerlook.report.tables import metrics
from closerlook.report.tables.table import IDENTITY, MODEL_FOLDER, RESPONSES_FILE, SUBSET_FILE, Measured, Part, Table
from closerlook.report.tables.tokenizer import response_tokens
from closerlook.stats.bootstrap import ratios

FINISH_REASONS = ("eos", "stop", "length")


def measure_dataset_lengths(subset: Path, model: Path) -> Iterator[Measured]:
    """Mean tokens (end-of-sequence not counted) and characters of a dataset's responses, in the model's own tokens."""
    responses = read_parquet(subset, columns=["response"])["response"]
    tokens = [len(ids) for ids in response_tokens(model, responses.to_pylist())]
    yield from _means("dataset_response", {"tokens": np.array(tokens), "characters": _characters(responses)})


def measure_response_lengths(responses: Path) -> Iterator[Measured]:
    """Mean tokens and characters of a model's responses, and how they ended. An empty response has length 0: it counts."""
    table = read_parquet(responses, columns=["token_ids", "text", "finish_reason"])
    ended = table["finish_reason"]
    columns = {"tokens": _numbers(pc.list_value_length(table["token_ids"])), "characters": _characters(table["text"])}
    columns |= {reason: _numbers(pc.equal(ended, reason)) for reason in FINISH_REASONS}
    yield from _means("model_response", columns)


def _means(what: str, columns: dict[str, np.ndarray]) -> Iterator[Measured]:
    sums = np.column_stack(list(columns.values()))
    for name, mean in zip(columns, ratios(sums, np.ones((len(sums), 1))), strict=True):
        yield {"what": what}, name, mean


def _characters(texts: pa.ChunkedArray) -> np.ndarray:
    return _numbers(pc.utf8_length(texts))


def _numbers(values: pa.ChunkedArray) -> np.ndarray:
    """As float64; a null is NaN, so that its response is counted as null."""
    return pc.cast(values, pa.float64()).to_numpy()


LENGTHS = Table(
    title="Lengths of the dataset's and of the models' responses",
    caption=(
        "Mean length of the responses a model was tuned on and of those it gives (section 4, Table 11), in tokens of the "
        "model's own tokenizer without the end-of-sequence token, and in characters. Responses cut at max_new_tokens are "
        "counted at that length: where their share is not small, the mean is too low."
    ),
    metrics=metrics.LENGTHS,
    keys=("what",),
    parts=(
        Part(
            ("model", "dataset", "size"),
            (SUBSET_FILE, MODEL_FOLDER),
            measure_dataset_lengths,
            tuple(metrics.DATASET_LENGTHS),
            keys={"what": ("dataset_response",)},
        ),
        Part(
            IDENTITY,
            (RESPONSES_FILE,),
            measure_response_lengths,
            tuple(metrics.LENGTHS),
            controls=True,
            keys={"what": ("model_response",)},
        ),
    ),
)
