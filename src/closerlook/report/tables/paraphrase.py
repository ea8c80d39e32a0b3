"""Counterfactual paraphrases (section 5): do spans return when the instruction is paraphrased?"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from closerlook.core import layout
from closerlook.core.errors import CloserlookError
from closerlook.core.files import read_by_id
from closerlook.derive.paraphrase import original_of
from closerlook.report.tables import metrics
from closerlook.report.tables.measuring import labeled, shares, total
from closerlook.report.tables.selection import paraphrased
from closerlook.report.tables.table import IDENTITY, Files, Measured, Part, Table
from closerlook.spans.inputs import read_marked_responses, words_only
from closerlook.stats.crossed import compare_crossed


def measure_paraphrases(
    spans: Path, responses: Path, evalset: Path, answers: Path, paraphrases: Path
) -> Iterator[Measured]:
    """Shares of pairs of a span and a paraphrase in which the span returns, and is elsewhere. n: responses with a pair."""
    instructions = _words(evalset, "instruction")
    paraphrase, answer = _words(paraphrases, "instruction"), _words(answers, "text")
    if absent := next((id_ for id_ in answer if id_ not in paraphrase), None):
        raise CloserlookError(f"{answers}: response {absent} answers no question of {paraphrases}; generate it again")
    answered = [id_ for id_ in paraphrase if id_ in answer]
    index = {id_: number for number, id_ in enumerate(instructions)}
    owner = np.array([index[original_of(id_)] for id_ in answered], dtype=np.int64)
    returned, elsewhere, pairs, received, asked = np.zeros((5, len(index)))
    left_out = 0
    for response, marked in read_marked_responses(spans, responses):
        number = index[response["id"]]
        for span in marked:
            phrase = words_only(response["text"][span.start : span.end])
            given = not phrase or phrase in instructions[response["id"]]
            eligible = np.array([not given and phrase not in paraphrase[id_] for id_ in answered], dtype=bool)
            found = eligible & np.array([phrase in answer[id_] for id_ in answered], dtype=bool)
            same, other = eligible & (owner == number), eligible & (owner != number)
            left_out += int((~eligible & (owner == number)).sum())
            n_same, n_other = int(same.sum()), int(other.sum())
            if not n_same:
                continue
            weight = n_same / max(1, n_other)  # each pair is compared with the mean over all other answers
            returned[number] += (found & same).sum()
            pairs[number] += n_same
            elsewhere[number] += weight * (found & other).sum() if n_other else np.nan
            received += weight * np.bincount(owner, found & other, len(index))
            asked += weight * np.bincount(owner, other, len(index))
    level, difference = compare_crossed(returned, elsewhere, pairs, received, asked)
    yield from labeled({}, shares({"returned": returned}, pairs))
    yield from labeled({}, {"elsewhere": level, "difference": difference, "pairs": total(pairs)})
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
