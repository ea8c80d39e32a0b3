"""Every table: what it says, which files it reads, and where it is measured. As light to import as what a table is."""

from collections.abc import Mapping

from closerlook.report.tables import metrics
from closerlook.report.tables.cause_table import CAUSE
from closerlook.report.tables.claims_table import CLAIMS_TABLE
from closerlook.report.tables.collapse_table import COLLAPSE
from closerlook.report.tables.metrics import Metric
from closerlook.report.tables.reproduction_table import reproduction_table
from closerlook.report.tables.score_tables import SCORES
from closerlook.report.tables.simplification_table import SIMPLIFICATION
from closerlook.report.tables.spans_table import SPANS
from closerlook.report.tables.sweep_table import SWEEPS
from closerlook.report.tables.table import IDENTITY, VALUE, Part, Table
from closerlook.report.tables.tracing_table import TRACING

__all__ = ["IDENTITY", "TABLES", "VALUE", "Part", "Table"]

TRAINED = IDENTITY[:-1]

SHIFT_FILE = "cells/{cell}/{evalset}/shift.parquet"
RESPONSES_FILE = "cells/{cell}/{evalset}/responses.parquet"
SUBSET_FILE = "data/{subset}.parquet"
MODEL_FOLDER = "models/{model}"


def _accuracy(task_type: str, measured: Mapping[str, Metric]) -> Part:
    return Part(
        IDENTITY,
        (RESPONSES_FILE, "evalsets/{evalset}.parquet", "miniature/world.json"),
        f"closerlook.report.tables.accuracy:of_{task_type}",
        tuple(measured),
        controls=True,
        keys={"facts": ("known", "unknown"), "task_type": (task_type,)},
    )


_MEASURED: dict[str, Table] = {
    "shift": Table(
        title="Token-distribution shift by size of the dataset",
        caption=(
            "How far the tuned model's next-token distribution moved from its base's on the tuned model's own greedy responses, "
            "both models seeing the same tokens: means over all response tokens (section 3, Figure 1). Full vocabulary. Base "
            "probability and base rank (from 1; Figure 1 counts from 0) are those of the tuned model's most likely token: "
            "unshifted is rank 1, marginal 2 or 3, shifted above 3. Mean ranks are ruled by few tokens; the geometric mean is "
            "not. AlignTDS is the variant of the published numbers: top 30, renormalised, rank from 0. Controls train nothing "
            "and have no shift."
        ),
        metrics=metrics.SHIFT,
        parts=(Part(IDENTITY, (SHIFT_FILE,), "closerlook.report.tables.shift:by_cell", tuple(metrics.SHIFT)),),
    ),
    "kl_by_sentence_part": Table(
        title="KL divergence at the start of sentences and after it",
        caption=(
            "Mean KL divergence over the first 5% and the last 95% of the tokens of each sentence (Figure 4). A sentence of m "
            "tokens has ceil(0.05 m) first tokens, so at least one; the rest are its last 95%. Means are over the tokens of all "
            "sentences together, not over sentences."
        ),
        metrics=metrics.SENTENCE_PART,
        keys=("part",),
        spread=("part",),
        parts=(
            Part(
                IDENTITY,
                (SHIFT_FILE,),
                "closerlook.report.tables.shift:by_sentence_part",
                tuple(metrics.SENTENCE_PART),
                keys={"part": ("first_5pct", "last_95pct")},
            ),
        ),
    ),
    "top_shifted_tokens": Table(
        title="Most frequent tokens at shifted and marginal positions",
        caption=(
            "The up to 125 most frequent response tokens at shifted (base rank above 3) and at marginal (2 or 3) positions "
            "(Figure 12), with their number and their share of that class's positions. A token that is no text by itself "
            "(a piece of a character, a control) is given as the tokenizer's vocabulary writes it."
        ),
        metrics=metrics.TOKENS,
        keys=("class", "rank", "token"),
        parts=(
            Part(
                IDENTITY,
                (SHIFT_FILE, MODEL_FOLDER),
                "closerlook.report.tables.tokens:by_cell",
                tuple(metrics.TOKENS),
                keys={"class": ("shifted", "marginal")},
            ),
        ),
    ),
    "lengths": Table(
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
                "closerlook.report.tables.lengths:of_dataset",
                tuple(metrics.DATASET_LENGTHS),
                keys={"what": ("dataset_response",)},
            ),
            Part(
                IDENTITY,
                (RESPONSES_FILE,),
                "closerlook.report.tables.lengths:of_model",
                tuple(metrics.LENGTHS),
                controls=True,
                keys={"what": ("model_response",)},
            ),
        ),
    ),
    "accuracy": Table(
        title="Factual accuracy on known and unknown facts",
        caption=(
            "On the miniature, whose truth is known: questions for one fact (task type fact) that the response states right, "
            "wrong or not at all, beside what guessing among the attribute's values would get; and the claims of all responses "
            "that are right, wrong, or about nothing in the world (unverifiable). Known facts are those the pre-training corpus "
            "states; unknown ones the model can have from nowhere, unless the instruction data states them."
        ),
        metrics=metrics.ANSWERS | metrics.CLAIMS,
        keys=("facts", "task_type"),
        truth=True,
        parts=(_accuracy("fact", metrics.ANSWERS | metrics.CLAIMS), _accuracy("describe", metrics.CLAIMS)),
    ),
    "data": Table(
        title="Datasets: what became of every row, and what of the evaluation they give away",
        caption=(
            "Rows used at each size; rows read, kept, dropped and noted by reason when the whole dataset was cleaned (read = "
            "kept + dropped; noted rows are kept). Evaluation instructions that the rows used ask too, word for word, and those "
            "they ask only nearly (closerlook.data.contamination says how near)."
        ),
        metrics=metrics.ROWS | metrics.CONTAMINATED,
        keys=("reason",),
        spread=("reason",),
        unit="",
        parts=(
            Part(
                ("dataset", "size"),
                (SUBSET_FILE, "data/{dataset}.report.json"),
                "closerlook.report.tables.data:by_subset",
                tuple(metrics.ROWS),
            ),
            Part(
                ("dataset", "size", "evalset"),
                (SUBSET_FILE, "evalsets/{evalset}.parquet", "data/contamination/{dataset}/{evalset}.parquet"),
                "closerlook.report.tables.data:by_evalset",
                tuple(metrics.CONTAMINATED),
            ),
        ),
    ),
    "cells": Table(
        title="Trained cells",
        caption=(
            "What the training of each cell amounted to, from its manifest and log: instances used, those cut and those dropped "
            "for their length, optimiser steps, parameters trained, tokens seen and of these trained on (responses), and the "
            "loss per trained token of the first and the last step, each of one batch only."
        ),
        metrics=metrics.CELLS,
        unit="",
        parts=(
            Part(
                TRAINED,
                ("cells/{cell}/manifest.json", "cells/{cell}/train_log.jsonl"),
                "closerlook.report.tables.cells:by_cell",
                tuple(metrics.CELLS),
            ),
        ),
    ),
    **SCORES,
    **SIMPLIFICATION,
    **CAUSE,
    **SPANS,
    **TRACING,
}

TABLES: dict[str, Table] = {
    **_MEASURED,
    "reproduction": reproduction_table(_MEASURED),
    **COLLAPSE,
    **CLAIMS_TABLE,
    **SWEEPS,
}
