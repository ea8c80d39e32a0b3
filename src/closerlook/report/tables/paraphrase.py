"""Counterfactual paraphrases: do the phrases of spans return when the instruction is put in other words? (section 5)"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_parquet
from closerlook.derive.paraphrase import original_of
from closerlook.report.tables import metrics
from closerlook.report.tables.selection import paraphrased
from closerlook.report.tables.table import EVALSET_FILE, IDENTITY, RESPONSES_FILE, SPANS_FILE, Measured, Part, Table
from closerlook.spans.located import read_marked_responses, words_only
from closerlook.stats.bootstrap import Estimate, ratios


def measure_paraphrases(
    spans: Path, responses: Path, evalset: Path, answers: Path, wordings: Path
) -> Iterator[Measured]:
    """How often spans return in answers to other wordings, beside chance. n: responses with a pair of span and wording."""
    asked = _words(evalset, "instruction")
    worded, answered = _words(wordings, "instruction"), _words(answers, "text")
    of: defaultdict[str, list[str]] = defaultdict(list)
    for id_ in answered:
        if id_ not in worded:
            raise CloserlookError(f"{answers}: response {id_} answers no question of {wordings}; generate it again")
        of[original_of(id_)].append(id_)
    rows, left_out = [], 0
    for response, found in read_marked_responses(spans, responses):
        mine, row = of[response["id"]], np.zeros(3)
        for span in found:
            phrase = words_only(response["text"][span.start : span.end])
            given = not phrase or phrase in asked[response["id"]]
            may = [] if given else [id_ for id_, text in worded.items() if id_ in answered and phrase not in text]
            tried = [phrase in answered[id_] for id_ in may if original_of(id_) == response["id"]]
            others = [phrase in answered[id_] for id_ in may if original_of(id_) != response["id"]]
            left_out += len(mine) - len(tried)
            if tried:
                by_chance = sum(others) / len(others) if others else np.nan
                row += np.array([sum(tried), by_chance * len(tried), len(tried)])
        rows.append(row)
    returned, chance, pairs = np.array(rows).reshape(-1, 3).T
    sums = np.column_stack([returned, chance, returned - chance])
    counts = np.column_stack([pairs, pairs, pairs - chance])
    for metric, share in zip(("returned", "chance", "corrected"), ratios(sums, counts), strict=True):
        yield {}, metric, share
    n = int(np.count_nonzero(pairs))
    yield {}, "pairs", Estimate(float(pairs.sum()), n=n, n_null=len(pairs) - n)
    yield {}, "left_out", Estimate(float(left_out), n=n, n_null=len(pairs) - n)


def _words(file: Path, column: str) -> dict[str, str]:
    """The words of each row's text, by its id."""
    return {row["id"]: words_only(row[column]) for row in read_parquet(file, ["id", column]).to_pylist()}


PARAPHRASE = Table(
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
                layout.responses("{cell}", "{paraphrase}"),
                layout.evalset("{paraphrase}"),
            ),
            measure_paraphrases,
            tuple(metrics.PARAPHRASE),
            over=paraphrased,
        ),
    ),
)
