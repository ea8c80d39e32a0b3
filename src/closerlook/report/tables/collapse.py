"""Trainings that broke the model: answers that are empty, go round in circles or are all the same; a loss that is no number."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from closerlook.cluster.stage_status import read_failure
from closerlook.core.files import read_parquet
from closerlook.data.prompts import encode_response
from closerlook.models.load import load_tokenizer
from closerlook.report.tables.collapse_table import COLLAPSED, GRAM, REFERENCE, REPETITIVE, SHARED
from closerlook.report.tables.shift import Measured
from closerlook.stats.bootstrap import Estimate, ratios

Rates = dict[str, Estimate]


def of_dataset(subset: Path, model: Path) -> Iterator[Measured]:
    """The same rates of the responses that a model was tuned on: what answers like them have by right."""
    for name, share in _of_dataset(subset, model).items():
        yield {"what": "dataset_response"}, name, share


def of_model(responses: Path) -> Iterator[Measured]:
    """Shares of a cell's responses that are empty, repetitive, the same as many others, any of these; and cut at the limit."""
    for name, share in _of_model(responses).items():
        yield {"what": "model_response"}, name, share
    ended = read_parquet(responses, columns=["finish_reason"])["finish_reason"].to_numpy()
    yield {"what": "model_response"}, "length", ratios(ended[:, None] == "length", np.ones((len(ended), 1)))[0]


def of_verdict(manifest: Path, responses: Path, subset: Path, model: Path) -> Iterator[Measured]:
    """Whether the training went astray, and whether what came of it collapsed. Any of the files may not be there yet."""
    verdicts = {"diverged": diverged(manifest), "collapsed": collapsed(manifest, responses, subset, model)}
    n = _of_model(responses)["degenerate"].n if responses.exists() else 0
    for name, verdict in verdicts.items():
        if verdict is not None:
            yield {"what": "model_response"}, name, Estimate(float(verdict), n=n)


def collapsed(manifest: Path, responses: Path, subset: Path, model: Path) -> bool | None:
    """Whether a training diverged, or COLLAPSED more of its answers are degenerate than of the data. None: not known yet."""
    if diverged(manifest):
        return True
    if not all(path.exists() for path in (responses, subset, model)):
        return None
    found, reference = (rates["degenerate"].value for rates in (_of_model(responses), _of_dataset(subset, model)))
    return None if found is None or reference is None else found - reference >= COLLAPSED


def diverged(manifest: Path) -> bool | None:
    """Whether a training ended for a loss that is no number. None: it has not ended, or for another reason."""
    if manifest.exists():
        return False
    failure = read_failure(manifest.parent, "train") or {}
    return True if failure.get("reason") == "non-finite loss" else None


@cache  # each cell that was tuned on a dataset asks for its rates
def _of_dataset(subset: Path, model: Path) -> Rates:
    texts = read_parquet(subset, columns=["response"])["response"].slice(0, REFERENCE).to_pylist()
    tokenizer = load_tokenizer(model)
    return rates(texts, [encode_response(tokenizer, text)[:-1] for text in texts])


@cache
def _of_model(responses: Path) -> Rates:
    table = read_parquet(responses, columns=["text", "token_ids"])
    return rates(pc.fill_null(table["text"], "").to_pylist(), [ids or [] for ids in table["token_ids"].to_pylist()])


def rates(texts: Sequence[str], tokens: Sequence[Sequence[int]]) -> Rates:
    """Shares of degenerate texts, by kind and in all, with intervals over texts. tokens: of each text, in the same order."""
    stripped = [text.strip() for text in texts]
    empty = np.array([not text for text in stripped], dtype=bool)
    circles = np.array([repetition(ids) > REPETITIVE for ids in tokens], dtype=bool)
    counts = Counter(text for text in stripped if text)
    same = np.array([counts[text] > max(1.0, SHARED * len(texts)) for text in stripped], dtype=bool)
    kinds = {"empty": empty, "repetitive": circles, "same": same, "degenerate": empty | circles | same}
    sums = np.column_stack(list(kinds.values())).astype(np.float64)
    return dict(zip(kinds, ratios(sums, np.ones((len(sums), 1))), strict=True))


def repetition(tokens: Sequence[int]) -> float:
    """The share of a text's GRAM-grams of tokens that stood in it before (seq-rep-n of Welleck et al. 2020); 0 where none is."""
    grams = [tuple(tokens[i : i + GRAM]) for i in range(len(tokens) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
