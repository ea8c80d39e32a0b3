"""Every table, by name, in the order in which people read them."""

from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.report.tables.ablation import ABLATION
from closerlook.report.tables.accuracy import ACCURACY
from closerlook.report.tables.agreement import JUDGE_AGREEMENT
from closerlook.report.tables.borrowing import BORROWING
from closerlook.report.tables.cells import CELLS
from closerlook.report.tables.claims import CLAIMS_DECIDED
from closerlook.report.tables.collapse import COLLAPSE
from closerlook.report.tables.data import DATA
from closerlook.report.tables.differences import SCORE_DIFFERENCES
from closerlook.report.tables.lengths import LENGTHS
from closerlook.report.tables.likelihood import LIKELIHOOD
from closerlook.report.tables.origin import ORIGIN, SIMILARITY
from closerlook.report.tables.paraphrase import PARAPHRASE
from closerlook.report.tables.reproduction import reproduction_table
from closerlook.report.tables.scoreboard import SCOREBOARD
from closerlook.report.tables.scores import SCORES_BY_ASPECT, SCORES_BY_TASK
from closerlook.report.tables.shift import SENTENCE_PARTS, SHIFT
from closerlook.report.tables.simplification import SIMPLIFICATION
from closerlook.report.tables.spans import SPAN_AGREEMENT, SPANS
from closerlook.report.tables.sweep import MATCHED, SWEEP
from closerlook.report.tables.table import IDENTITY, VALUE, Part, Table
from closerlook.report.tables.tokens import TOP_TOKENS

__all__ = ["IDENTITY", "TABLES", "VALUE", "Part", "Table", "table_of"]

_MEASURED: dict[str, Table] = {
    "shift": SHIFT,
    "kl_by_sentence_part": SENTENCE_PARTS,
    "top_shifted_tokens": TOP_TOKENS,
    "lengths": LENGTHS,
    "accuracy": ACCURACY,
    "data": DATA,
    "cells": CELLS,
    "scores_by_aspect": SCORES_BY_ASPECT,
    "scores_by_task": SCORES_BY_TASK,
    "score_differences": SCORE_DIFFERENCES,
    "judge_agreement": JUDGE_AGREEMENT,
    "simplification": SIMPLIFICATION,
    "ablation": ABLATION,
    "paraphrase": PARAPHRASE,
    "likelihood": LIKELIHOOD,
    "spans": SPANS,
    "span_agreement": SPAN_AGREEMENT,
    "borrowing": BORROWING,
    "origin": ORIGIN,
    "similarity": SIMILARITY,
    "tracing_scoreboard": SCOREBOARD,
}

TABLES: dict[str, Table] = {
    **_MEASURED,
    "reproduction": reproduction_table(_MEASURED),
    "collapse": COLLAPSE,
    "claims": CLAIMS_DECIDED,
    "sweep": SWEEP,
    "matched": MATCHED,
}


def table_of(path: Path) -> Table:
    """The table that a CSV's name says it is."""
    if path.stem not in TABLES:
        raise CloserlookError(f"{path}: no table is called {path.stem}; expected one of {', '.join(TABLES)}")
    return TABLES[path.stem]
