"""Counterfactual paraphrases (section 5): do spans return when the instruction is paraphrased?"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_by_id
from closerlook.derive.paraphrase import original_of
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import labeled, means, shares, total
from closerlook.report.tables.selection import paraphrased
from closerlook.report.tables.table import IDENTITY, Files, Measured, Part, Table
from closerlook.spans.inputs import read_marked_responses, words_only


def measure_paraphrases(
    spans: Path, responses: Path, evalset: Path, answers: Path, paraphrases: Path
) -> Iterator[Measured]:
    """Shares of pairs of a span and a paraphrase in which the span returns, and is elsewhere. n: responses with a pair."""
    instructions = _words(evalset, "instruction")
    paraphrase, answer = _words(paraphrases, "instruction"), _words(answers, "text")
    by_original: defaultdict[str, list[str]] = defaultdict(list)
    for id_ in answer:
        if id_ not in paraphrase:
            raise CloserlookError(f"{answers}: response {id_} answers no question of {paraphrases}; generate it again")
        by_original[original_of(id_)].append(id_)
    rows, left_out = [], 0
    for response, marked in read_marked_responses(spans, responses):
        row = np.zeros(3)
        for span in marked:
            phrase = words_only(response["text"][span.start : span.end])
            given = not phrase or phrase in instructions[response["id"]]
            eligible = (
                [] if given else [id_ for id_, text in paraphrase.items() if id_ in answer and phrase not in text]
            )
            same = [phrase in answer[id_] for id_ in eligible if original_of(id_) == response["id"]]
            other = [phrase in answer[id_] for id_ in eligible if original_of(id_) != response["id"]]
            left_out += len(by_original[response["id"]]) - len(same)
            if same:
                rate = sum(other) / len(other) if other else np.nan
                row += np.array([sum(same), rate * len(same), len(same)])
        rows.append(row)
    returned, elsewhere, pairs = np.array(rows).reshape(-1, 3).T
    yield from labeled({}, shares({"returned": returned, "elsewhere": elsewhere}, pairs))
    yield from labeled({}, means({"difference": returned - elsewhere}, pairs))
    yield {}, "pairs", total(pairs)
    yield {}, "left_out", total(pairs)._replace(value=float(left_out))


def _words(file: Path, column: str) -> dict[str, str]:
    """The words of each row's text, by its id."""
    return {id_: words_only(text) for id_, text in read_by_id(file, column).items()}


PARAPHRASE = Table(
    name="paraphrase",
    title="Spans in responses to paraphrased instructions",
    caption=(
        "One row per cell, marker and paraphrased evaluation set: how often a span's words return in the response to a "
        "paraphrase of its instruction. A difference above 0 means more often than in responses to "
        "paraphrases of other instructions."
    ),
    metrics=metrics.PARAPHRASE,
    keys=("marker", "paraphrase"),
    asks_for="paraphrased",
    parts=(
        Part(
            (*IDENTITY, "marker", "paraphrase"),
            (
                Files.SPANS,
                Files.RESPONSES,
                Files.EVALSET,
                layout.responses("{cell}", "{paraphrase}"),
                layout.evalset("{paraphrase}"),
            ),
            measure_paraphrases,
            tuple(metrics.PARAPHRASE),
            over=paraphrased,
        ),
    ),
)
