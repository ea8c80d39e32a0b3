"""The table of trainings that broke the model: what it says, what it reads, and where its limits lie."""

from closerlook.report.tables import metrics
from closerlook.report.tables.table import IDENTITY, Part, Table

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

RESPONSES_FILE = "cells/{cell}/{evalset}/responses.parquet"
SUBSET_FILE = "data/{subset}.parquet"
MODEL_FOLDER = "models/{model}"
VERDICT_FILES = ("cells/{cell}/manifest.json", RESPONSES_FILE, SUBSET_FILE, MODEL_FOLDER)
"""What `closerlook.report.tables.collapse:collapsed` reads."""

_OF_MODEL = {"what": ("model_response",)}

COLLAPSE: dict[str, Table] = {
    "collapse": Table(
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
                "closerlook.report.tables.collapse:of_dataset",
                tuple(metrics.DEGENERATE),
                keys={"what": ("dataset_response",)},
            ),
            Part(
                IDENTITY,
                (RESPONSES_FILE,),
                "closerlook.report.tables.collapse:of_model",
                (*metrics.DEGENERATE, "length"),
                controls=True,
                keys=_OF_MODEL,
            ),
            Part(
                IDENTITY,
                (),
                "closerlook.report.tables.collapse:of_verdict",
                ("diverged", "collapsed"),
                keys=_OF_MODEL,
                optional=VERDICT_FILES,
            ),
        ),
    ),
}
