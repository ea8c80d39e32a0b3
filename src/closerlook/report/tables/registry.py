"""Every table, by name, in the order in which people read them."""

from pathlib import Path

from closerlook.core.errors import CloserlookError
from closerlook.report.tables.ablation import ABLATION
from closerlook.report.tables.accuracy import ACCURACY
from closerlook.report.tables.agreement import JUDGE_AGREEMENT
from closerlook.report.tables.benchmarks import BENCHMARKS
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
from closerlook.report.tables.planted import PLANTED
from closerlook.report.tables.reproduction import reproduction_table
from closerlook.report.tables.retention import RETENTION
from closerlook.report.tables.retraining import RETRAINING
from closerlook.report.tables.scoreboard import SCOREBOARD
from closerlook.report.tables.scores import SCORES_BY_ASPECT, SCORES_BY_TASK
from closerlook.report.tables.seeds import seeds_table
from closerlook.report.tables.shift import SENTENCE_PARTS, SHIFT
from closerlook.report.tables.simplification import SIMPLIFICATION
from closerlook.report.tables.spans import SPAN_AGREEMENT, SPANS
from closerlook.report.tables.sweep import MATCHED, SWEEP
from closerlook.report.tables.table import IDENTITY, VALUE, Part, Table
from closerlook.report.tables.tokens import TOP_TOKENS
from closerlook.report.tables.tradeoff import TRADEOFF
from closerlook.report.tables.trials import TRIALS

__all__ = ["IDENTITY", "TABLES", "VALUE", "Part", "Table", "table_of"]

_MEASURED: dict[str, Table] = {
    table.name: table
    for table in (
        SHIFT,
        SENTENCE_PARTS,
        TOP_TOKENS,
        LENGTHS,
        ACCURACY,
        BENCHMARKS,
        RETENTION,
        DATA,
        CELLS,
        SCORES_BY_ASPECT,
        SCORES_BY_TASK,
        SCORE_DIFFERENCES,
        JUDGE_AGREEMENT,
        SIMPLIFICATION,
        ABLATION,
        PLANTED,
        PARAPHRASE,
        LIKELIHOOD,
        SPANS,
        SPAN_AGREEMENT,
        BORROWING,
        ORIGIN,
        SIMILARITY,
        SCOREBOARD,
        TRIALS,
        RETRAINING,
    )
}

TABLES: dict[str, Table] = _MEASURED | {
    table.name: table
    for table in (
        seeds_table(_MEASURED),
        reproduction_table(_MEASURED),
        COLLAPSE,
        CLAIMS_DECIDED,
        SWEEP,
        MATCHED,
        TRADEOFF,
    )
}


def table_of(path: Path) -> Table:
    """The table with the name of a CSV file. Raises CloserlookError for an unknown name."""
    if path.stem not in TABLES:
        raise CloserlookError(f"{path}: no table is called {path.stem}; expected one of {', '.join(TABLES)}")
    return TABLES[path.stem]
