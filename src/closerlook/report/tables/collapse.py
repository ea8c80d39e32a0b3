"""Trainings that broke the model: answers that are empty, go round in circles or are all the same; a loss that is no number."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from closerlook.cluster.stage_status import read_failure
from closerlook.core import layout
from closerlook.core.files import read_parquet
from closerlook.report.tables import metrics
from closerlook.report.tables.table import IDENTITY, MODEL_FOLDER, RESPONSES_FILE, SUBSET_FILE, Measured, Part, Table
from closerlook.report.tables.tokenizer import response_tokens
from closerlook.stats.bootstrap import Estimate, ratios

GRAM = 4
REPETITIVE = 0.5
"""A text goes round in circles when more than this share of its GRAM-grams of tokens stood in it before.

Measured on sound texts, with words and signs for tokens: 0.2% of 9,229 responses of Alpaca do, 0.3% of 2,996 of Dolly, and
1.5% of 400 answers of gpt-3.5-turbo.
"""
SHARED = 0.1
"""A text is the same as many others when more than this share of all texts, and more than one, are that text."""
COLLAPSED = 0.25
"""A cell has collapsed when the share of its degenerate answers is this far above that of the responses it was tuned on."""
REFERENCE = 2000
"""First instances of a dataset, which are in random order, that its own rates are taken over."""

Rates = dict[str, Estimate]


def measure_dataset_degeneration(subset: Path, model: Path) -> Iterator[Measured]:
    """The same rates of the responses that a model was tuned on: what answers like them have by right."""
    for name, share in _of_dataset(subset, model).items():
        yield {"what": "dataset_response"}, name, share


def measure_degeneration(responses: Path) -> Iterator[Measured]:
    """Shares of a cell's responses that are empty, repetitive, the same as many others, any of these; and cut at the limit."""
    for name, share in _of_model(responses).items():
        yield {"what": "model_response"}, name, share
    ended = read_parquet(responses, columns=["finish_reason"])["finish_reason"].to_numpy()
    yield {"what": "model_response"}, "length", ratios(ended[:, None] == "length", np.ones((len(ended), 1)))[0]


def decide_collapse(manifest: Path, responses: Path, subset: Path, model: Path) -> Iterator[Measured]:
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
    return rates(texts, response_tokens(model, texts))


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


VERDICT_FILES = (
    layout.manifest("{cell}"),
    RESPONSES_FILE,
    SUBSET_FILE,
    MODEL_FOLDER,
)
"""What `collapsed` reads."""

_OF_MODEL = {"what": ("model_response",)}


COLLAPSE = Table(
    title="Trainings that broke the model",
    caption=(
        "Answers that no judge is needed for. Empty: no text. Repetitive: more than half of the answer's 4-grams of tokens "
        "stood in it before (seq-rep-4, Welleck et al. 2020). The same: more than a tenth of the cell's answers are this "
        "very text. Degenerate: any of the three. Beside them the same rates of the responses that the cell was tuned on "
        "(dataset_response; of its first 2,000 instances) and of the controls, which were tuned on nothing. Diverged: the "
        "training ended because its loss was no number. Collapsed: it diverged, or the share of degenerate answers is at "
        "least 25 points above that of the responses it was tuned on. Scores of a collapsed cell say how its training "
        "failed, and nothing about its method."
    ),
    metrics=metrics.COLLAPSE,
    keys=("what",),
    parts=(
        Part(
            ("model", "dataset", "size"),
            (SUBSET_FILE, MODEL_FOLDER),
            measure_dataset_degeneration,
            tuple(metrics.DEGENERATE),
            keys={"what": ("dataset_response",)},
        ),
        Part(
            IDENTITY,
            (RESPONSES_FILE,),
            measure_degeneration,
            (*metrics.DEGENERATE, "length"),
            controls=True,
            keys=_OF_MODEL,
        ),
        Part(
            IDENTITY,
            (),
            decide_collapse,
            ("diverged", "collapsed"),
            keys=_OF_MODEL,
            optional=VERDICT_FILES,
        ),
    ),
)
