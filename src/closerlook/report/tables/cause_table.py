"""The tables of what causes marked spans: what they say and what they read."""

from collections.abc import Iterable, Iterator

from closerlook.report.tables import metrics
from closerlook.report.tables.table import IDENTITY, Part, Row, Table, names_of

RESPONSES_FILE = "cells/{cell}/{evalset}/responses.parquet"
SPANS_FILE = "cells/{cell}/{evalset}/spans/{marker}.parquet"
EVALSET_FILE = "evalsets/{evalset}.parquet"


def ablated(grid: Iterable[Row]) -> Iterator[Row]:
    """Cells tuned without traced instances, with the cell whose spans these are in `against`."""
    for row in grid:
        if row.get("ablation_of") and row.get("ablation_control"):
            yield row | {"against": row["ablation_of"], "marker": row["ablation_marker"]}


def marked(grid: Iterable[Row]) -> Iterator[Row]:
    """A row per marker of cells whose spans are traced."""
    for row in grid:
        if row.get("peers"):
            yield from (row | {"marker": marker} for marker in names_of(row, "markers"))


def paraphrased(grid: Iterable[Row]) -> Iterator[Row]:
    """The same for each evalset that is theirs in other words, in `paraphrase`."""
    for row in grid:
        for name in names_of(row, "paraphrased"):
            yield from (row | {"marker": marker, "paraphrase": name} for marker in names_of(row, "markers"))


CAUSE: dict[str, Table] = {
    "ablation": Table(
        title="Spans after training without the instances they were traced to",
        caption=(
            "The causal test. For a sample of traced spans of the cell in `against`, its training was repeated without the "
            "instances that they were traced to, and once more without as many untraced ones, as similar to the instruction "
            "and response (similarity: means of what was left out). Returned: spans whose words, side by side and case "
            "ignored, stand in the new answer to the same instruction; in the original's answer they stand by construction. "
            "Chance: the same words in that cell's answers to other instructions. Difference: returned without the similar "
            "instances less returned without the traced; its p is of the exact permutation test over responses (of which side "
            "is which). Spans whose words stand in the instruction are not sampled. Above 0, what the spans were traced to is "
            "what they come from. Each side is one training: what another seed would change is in no interval."
        ),
        metrics=metrics.ABLATION,
        keys=("against", "marker", "side"),
        spread=("side",),
        asks_for="ablation_of",
        parts=(
            Part(
                (*IDENTITY, "against", "marker"),
                (
                    "data/{dataset}.report.json",
                    "cells/{ablation_of}/{evalset}/responses.parquet",
                    RESPONSES_FILE,
                    "cells/{ablation_control}/{evalset}/responses.parquet",
                ),
                "closerlook.report.tables.ablation:of_cell",
                tuple(metrics.ABLATION),
                over=ablated,
            ),
        ),
    ),
    "paraphrase": Table(
        title="Spans after the same instruction in other words",
        caption=(
            "Section 5's counterfactual paraphrases. Returned: of all pairs of a span and a wording, those where the span's "
            "words, side by side and case ignored, stand in the answer to the wording. Chance: the same words in answers to "
            "wordings of other instructions. Corrected: (returned - chance) / (1 - chance). Pairs whose instruction or wording "
            "holds the span's words are left out and counted, and so are those of spans without words. A span that returns was "
            "no accident of the wording; where it comes from this does not say."
        ),
        metrics=metrics.PARAPHRASE,
        keys=("marker", "paraphrase"),
        asks_for="paraphrased",
        parts=(
            Part(
                (*IDENTITY, "marker", "paraphrase"),
                (
                    SPANS_FILE,
                    RESPONSES_FILE,
                    EVALSET_FILE,
                    "cells/{cell}/{paraphrase}/responses.parquet",
                    "evalsets/{paraphrase}.parquet",
                ),
                "closerlook.report.tables.paraphrase:of_cell",
                tuple(metrics.PARAPHRASE),
                over=paraphrased,
            ),
        ),
    ),
    "likelihood": Table(
        title="Likelihood of spans under the base model and under those tuned on the same data",
        caption=(
            "Mean log-probability, in nats per token, of the tokens of marked spans under the base model and under each model "
            "that was tuned on the cell's data (under: its run), after the cell's prompt and its response up to the token; "
            "and of the other tokens of the same responses (part: rest), since a model finds the whole of its own response "
            "likely. Difference: less the base's, over the same tokens; intervals over responses."
        ),
        metrics=metrics.LIKELIHOOD,
        keys=("marker", "under", "part"),
        spread=("part",),
        asks_for="peers",
        parts=(
            Part(
                (*IDENTITY, "marker"),
                ("cells/{cell}/{evalset}/likelihood/{marker}.parquet",),
                "closerlook.report.tables.likelihood:of_cell",
                tuple(metrics.LIKELIHOOD),
                over=marked,
            ),
        ),
    ),
}
