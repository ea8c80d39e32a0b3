"""The tables of judges' scores: Tables 13 to 17, with what the paper lacks: intervals, causes of nulls, tests, a second judge."""

from closerlook.judge.aspects import ASPECTS
from closerlook.report.tables import metrics
from closerlook.report.tables.pairing import compared, judged, judged_twice
from closerlook.report.tables.table import IDENTITY, Part, Table

VERDICTS_FILE = "cells/{cell}/{evalset}/verdicts/{judge}.parquet"
OTHER_CELLS_FILE = "cells/{against}/{evalset}/verdicts/{judge}.parquet"
OTHER_JUDGES_FILE = "cells/{cell}/{evalset}/verdicts/{against}.parquet"
RESPONSES_FILE = "cells/{cell}/{evalset}/responses.parquet"
EVALSET_FILE = "evalsets/{evalset}.parquet"

_NULLS = tuple(metrics.NULLS)
_BY_CAUSE = {"Verdicts without a score, by cause": _NULLS}

SCORES: dict[str, Table] = {
    "scores_by_aspect": Table(
        title="Judges' scores by aspect",
        caption=(
            "Mean score, 1 to 5, of each aspect (Tables 13 to 15). Verdicts without a score are left out of the mean and "
            "counted by cause. Where a judge says that an aspect does not apply (N/A), just-eval's scripts count a 5: that mean "
            "stands beside. Length-controlled: what the mean would be if the cell's responses were as long as those of all "
            "cells are on average (log characters; least squares with an intercept per cell and one slope per judge, evalset "
            "and aspect). Scores of different judges, or of two versions of one, do not compare."
        ),
        metrics=metrics.SCORES | metrics.LENGTH_CONTROLLED | metrics.NULLS,
        keys=("judge", "version", "aspect"),
        spread=("aspect",),
        sections={
            "Score": ("score",),
            "Score, N/A counted as 5": ("score_na_five",),
            "Score, length-controlled": ("score_length_controlled",),
        }
        | _BY_CAUSE,
        asks_for="judges",
        parts=(
            Part(
                (*IDENTITY, "judge"),
                (VERDICTS_FILE, RESPONSES_FILE),
                "closerlook.report.tables.scores:by_aspect",
                ("score", "score_na_five", "score_length_controlled", *_NULLS),
                controls=True,
                keys={"aspect": ASPECTS},
                over=judged,
                together=("evalset", "judge"),
            ),
        ),
    ),
    "scores_by_task": Table(
        title="Judges' scores by task type",
        caption=(
            "Mean score, 1 to 5, of the responses to each type of task (Tables 16 and 17), in both conventions. Aspect mean, "
            "the paper's: a response's mean over the aspects that have a score. Aspect helpfulness, that of just-eval's "
            "script. An instruction of several types counts in each; one of none is untyped."
        ),
        metrics=metrics.SCORES | metrics.NULLS,
        keys=("judge", "version", "aspect", "task_type"),
        spread=("task_type",),
        sections={"Score": ("score",), "Score, N/A counted as 5": ("score_na_five",)} | _BY_CAUSE,
        asks_for="judges",
        parts=(
            Part(
                (*IDENTITY, "judge"),
                (VERDICTS_FILE, EVALSET_FILE),
                "closerlook.report.tables.scores:by_task",
                ("score", "score_na_five", *_NULLS),
                controls=True,
                keys={"aspect": ("mean", "helpfulness")},
                over=judged,
            ),
        ),
    ),
    "score_differences": Table(
        title="Differences of scores, cell against cell",
        caption=(
            "Mean difference of two cells' scores of the same instruction by the same judge, where both have one: every cell "
            "against its base model (base), and every other method against LoRA fine-tuning on the same data (lft). p: exact "
            "two-sided permutation test of the paired differences (their signs flipped in all ways). p, Holm: corrected over "
            "all comparisons of this table, so that below 0.05 it is not merely the luckiest of many."
        ),
        metrics=metrics.DIFFERENCES,
        keys=("judge", "version", "against", "aspect"),
        unit="pairs",
        asks_for="judges",
        parts=(
            Part(
                (*IDENTITY, "judge", "against"),
                (VERDICTS_FILE, OTHER_CELLS_FILE),
                "closerlook.report.tables.differences:of_cells",
                tuple(metrics.DIFFERENCES),
                controls=True,
                keys={"aspect": ASPECTS},
                over=compared,
                together=(),
            ),
        ),
    ),
    "judge_agreement": Table(
        title="Agreement of two judges",
        caption=(
            "What changes if the judge is swapped, over the responses that both scored: quadratically weighted kappa (1: "
            "the same scores, 0: as by chance), the mean difference of their scores (second minus first), the rank "
            "correlation of the cells' means, and how many pairs of cells they order differently; the up to 20 of these that lie "
            "farthest apart are named, each with the gap of its means under the first and under the second judge."
        ),
        metrics=metrics.AGREEMENT | metrics.REVERSED,
        keys=("judge", "against", "version", "aspect", "pair"),
        unit="instructions",
        sections={
            "Agreement": tuple(metrics.AGREEMENT),
            "Pairs of cells that the judges order differently": tuple(metrics.REVERSED),
        },
        asks_for="judges",
        at_least=2,
        parts=(
            Part(
                ("evalset", "judge", "against"),
                (VERDICTS_FILE, OTHER_JUDGES_FILE),
                "closerlook.report.tables.agreement:of_judges",
                tuple(metrics.AGREEMENT),
                controls=True,
                keys={"aspect": ASPECTS},
                over=judged_twice,
                together=("evalset", "judge", "against"),
            ),
        ),
    ),
}
