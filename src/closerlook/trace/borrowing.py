"""How much of what tuning moved stands in the data, beside what stands there by chance (sections 4 and 5, corrected)."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from closerlook.core import schemas
from closerlook.core.errors import CloserlookError
from closerlook.core.schemas import CLASSES
from closerlook.trace.indexed_dataset import Searched
from closerlook.trace.matching_statistics import longest_runs
from closerlook.trace.nulls import deal, limit_of_equal_size, matched
from closerlook.trace.passages import Passages
from closerlook.trace.phrases import LONGEST, NGRAMS, Phrases, beginning_with, found_by, of_spans, tally

logger = logging.getLogger(__name__)

ENOUGH = 0.9
"""Words of an unrelated dataset, as a share of the dataset's, below which it finds less by chance for its size alone."""
Span = tuple[int, int, int]
"""Row of the response, start, end."""


@dataclass(frozen=True)
class Borrowed:
    """What may have been borrowed: the responses, the class of each of their words, and marked spans by marker.

    base: the base model's own answers to the same instructions, in the same order, or None.
    """

    passages: Passages
    classes: np.ndarray
    instructions: Sequence[str]
    spans: Mapping[str, Sequence[Span]]
    base: Passages | None = None

    def units(self) -> dict[str, Phrases]:
        """The phrases looked for, by unit as BORROWING names it."""
        words = {name: beginning_with(self.passages, self.classes == name) for name in reversed(CLASSES)}
        return words | {f"span:{name}": of_spans(self.passages, spans) for name, spans in self.spans.items()}


def borrowing(
    borrowed: Borrowed, searched: Sequence[Searched], unrelated: Searched | None, neighbours: int, seed: int
) -> pa.Table:
    """BORROWING: per response, dataset searched, unit, n-gram length, place and null, the phrases found and looked for.

    unrelated: the same phrases in another dataset, its first instances that together have nearest to as many words; in those of
        them that are most similar to the same instruction, where only similar ones are searched.
    permuted: the same phrases in the instances most similar to other instructions.
    matched: other phrases in the same dataset, from answers to other prompts: see `nulls.matched`.
    base_answer: all n-grams of the base model's own answer to the same instruction, whatever the unit.
    A chance level has no row where it looked for nothing. Raises CloserlookError if only one dataset has embeddings.
    """
    if unrelated and any((dataset.embeddings is None) != (unrelated.embeddings is None) for dataset in searched):
        raise CloserlookError(
            f"{unrelated.name}: embeddings of all datasets are needed or of none, to search alike in each"
        )
    units = borrowed.units()
    unshifted = borrowed.classes == "unshifted"
    drawn = {unit: matched(phrases, unshifted, borrowed.passages, seed)[0] for unit, phrases in units.items()}
    own = beginning_with(borrowed.base, np.ones(len(borrowed.base.words), dtype=bool)) if borrowed.base else None
    most = max((int(phrases.words.max(initial=0)) for phrases in units.values()), default=0)
    tables = [schemas.BORROWING.empty_table()]
    for dataset in searched:
        runs = _runs(borrowed, dataset, unrelated and equal_in_size(unrelated, dataset), neighbours, most, seed)
        for unit, phrases in units.items():
            asked = dict.fromkeys(runs, phrases) | {("all", "matched"): drawn[unit]}
            asked |= {level: own for level in runs if level[1] == "base_answer" and own}
            for (where, null), these in asked.items():
                several = runs["all", "observed"] if null == "matched" else runs[where, null]
                if not several:
                    continue  # one response alone has no other to be permuted with
                counts = np.sum(
                    [tally(these, found_by(these, one), len(borrowed.passages.ids)) for one in several], axis=0
                )
                keys = {"searched": dataset.name, "unit": unit, "where": where, "null": null}
                tables.append(_rows(borrowed.passages.ids, counts, keys))
    return pa.concat_tables(tables)


def equal_in_size(unrelated: Searched, dataset: Searched) -> Searched:
    """The unrelated dataset, cut where it has nearest to as many words as the dataset; whole, with a warning, if it has fewer."""
    if unrelated.words < ENOUGH * dataset.words:
        logger.warning(
            "%s: has %s words, %s has %s: chance comes out too low, and what is corrected for it too high",
            *(unrelated.name, f"{unrelated.words:,}", dataset.name, f"{dataset.words:,}"),
        )
    return replace(unrelated, limit=limit_of_equal_size(unrelated.index.sizes[: unrelated.limit], dataset.words))


def _runs(
    borrowed: Borrowed, dataset: Searched, unrelated: Searched | None, neighbours: int, most: int, seed: int
) -> dict[tuple[str, str], list[np.ndarray]]:
    """The longest runs from each word (of `base` for base_answer), by place and null: one array, or one per permutation."""
    passages, base = borrowed.passages, borrowed.base
    near = dataset.most_similar(borrowed.instructions, neighbours)
    found = {
        ("all", "observed"): [_anywhere(passages, dataset, most)],
        ("similar", "observed"): [_among(passages, dataset, near, most)],
        ("similar", "permuted"): [_among(passages, dataset, near[other], most) for other in deal(len(near), seed)],
    }
    if unrelated is not None:
        there = unrelated.most_similar(borrowed.instructions, neighbours)
        found["all", "unrelated"] = [_anywhere(passages, unrelated, most)]
        found["similar", "unrelated"] = [_among(passages, unrelated, there, most)]
    if base is not None:
        found["all", "base_answer"] = [_anywhere(base, dataset, LONGEST)]
        found["similar", "base_answer"] = [_among(base, dataset, near, LONGEST)]
    return found


def _anywhere(passages: Passages, dataset: Searched, most: int) -> np.ndarray:
    return longest_runs([word.text for word in passages.words], passages.left, dataset.occurs, most)


def _among(passages: Passages, dataset: Searched, near: np.ndarray, most: int) -> np.ndarray:
    """Runs in the instances near[i] alone, for the words of response i."""
    runs = [np.zeros(0, dtype=np.int64)]
    for text, rows in enumerate(tqdm(near, desc=f"similar in {dataset.name}", unit="response", disable=None)):
        left = passages.left[passages.first[text] : passages.first[text + 1]]
        runs.append(longest_runs(passages.spoken(text), left, dataset.occurs_in(rows), most))
    return np.concatenate(runs)


def _rows(ids: list[str], counts: np.ndarray, keys: dict[str, str]) -> pa.Table:
    """counts [2, responses, n-gram lengths] as rows; observed ones also where nothing was looked for, to say so."""
    lengths = range(counts.shape[2]) if keys["unit"].startswith("span:") else NGRAMS
    found, looked_for = counts[:, :, lengths.start :].reshape(2, -1)
    table = pa.table(
        {
            "id": pa.array(np.repeat(np.array(ids, dtype=object), len(lengths)), pa.string()),
            **{name: pa.repeat(value, len(found)) for name, value in keys.items()},
            "ngram": np.tile(lengths, len(ids)),
            "found": found,
            "phrases": looked_for,
        }
    ).select(schemas.BORROWING.names)
    kept = table if keys["null"] == "observed" else table.filter(pa.array(looked_for > 0))
    return kept.cast(schemas.BORROWING)
