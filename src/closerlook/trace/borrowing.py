"""How often shifted words and marked spans occur in a dataset, and in what it is compared with (sections 4 and 5, corrected)."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from closerlook.core import schemas
from closerlook.core.errors import CloserlookError
from closerlook.trace.held_out import Parts, match_lengths_by_part
from closerlook.trace.indexed_dataset import IndexedDataset
from closerlook.trace.matching_statistics import match_lengths
from closerlook.trace.nulls import derangements, limit_for_words, matched_phrases
from closerlook.trace.passages import Passages, unshifted_words
from closerlook.trace.phrases import LONGEST, NGRAMS, Phrases, is_found, ngrams_starting_with, span_ngrams, tally

logger = logging.getLogger(__name__)

ENOUGH = 0.9
"""Below this ratio of its number of words to the dataset's, an unrelated dataset finds less by chance because it is smaller."""
Span = tuple[int, int, int]
"""Row of the response, start, end."""


@dataclass(frozen=True)
class BorrowingInputs:
    """The responses of a cell, the shift class of each of their words, and their marked spans by marker.

    classes: [words] str; None for a control, of whose phrases only those of spans are counted.
    base: the base model's answers to the same instructions, in the same order, or None.
    """

    passages: Passages
    classes: np.ndarray | None
    instructions: Sequence[str]
    spans: Mapping[str, Sequence[Span]]
    base: Passages | None = None

    def units(self) -> dict[str, Phrases]:
        """The phrases that are looked up, by unit as BORROWING names it."""
        words: dict[str, Phrases] = {}
        if (classes := self.classes) is not None:
            words = {name: ngrams_starting_with(self.passages, classes == name) for name in reversed(schemas.CLASSES)}
        return words | {f"span:{name}": span_ngrams(self.passages, spans) for name, spans in self.spans.items()}


@dataclass(frozen=True)
class Searched:
    """A dataset that phrases are searched in, and what it is compared with: an unrelated one, and parts of the whole dataset."""

    dataset: IndexedDataset
    unrelated: IndexedDataset | None = None
    parts: Parts | None = None

    def __post_init__(self) -> None:
        if self.unrelated and (self.dataset.embeddings is None) != (self.unrelated.embeddings is None):
            raise CloserlookError(
                f"{self.unrelated.name}: expected embeddings of both datasets or of none, so that both are searched alike"
            )


def count_borrowing(inputs: BorrowingInputs, searched: Sequence[Searched], neighbors: int, seed: int) -> pa.Table:
    """BORROWING: phrases found and looked up, per response, dataset searched, unit, n-gram length, place and null.

    tuned_on, held_out, and of the fine cut tuned_on_small, held_out_small: the same phrases in each of `Parts`. What was held out
        is the chance level.
    unrelated: the same phrases in another dataset, truncated to about as many words. Where only similar instances are searched:
        in those of its instances that are most similar to the same instruction.
    permuted: the same phrases in the instances most similar to other instructions.
    matched: other phrases in the same dataset, from answers to other prompts: see `nulls.matched_phrases`.
    base_answer: all n-grams of the base model's answer to the same instruction, whatever the unit.
    A comparison that looked nothing up has no row.
    """
    units = inputs.units()
    unshifted = unshifted_words(inputs.passages, inputs.classes)
    matched = {unit: matched_phrases(phrases, unshifted, inputs.passages, seed)[0] for unit, phrases in units.items()}
    base = ngrams_starting_with(inputs.base, np.ones(len(inputs.base.words), dtype=bool)) if inputs.base else None
    longest = max((int(phrases.words.max(initial=0)) for phrases in units.values()), default=0)
    tables = [schemas.BORROWING.empty_table()]
    responses = len(inputs.passages.ids)
    for each in searched:
        dataset = each.dataset
        same_size = each.unrelated and truncate_to_size(each.unrelated, dataset)
        lengths = _match_lengths(inputs, dataset, same_size, neighbors, longest, seed)
        for unit, phrases in units.items():
            looked_up = dict.fromkeys(lengths, phrases) | {("all", "matched"): matched[unit]}
            looked_up |= {level: base for level in lengths if level[1] == "base_answer" and base}
            for (where, null), level_phrases in looked_up.items():
                draws = lengths["all", "observed"] if null == "matched" else lengths[where, null]
                if not draws:
                    continue  # a single response cannot be permuted
                counts = np.sum(
                    [tally(level_phrases, is_found(level_phrases, draw), responses) for draw in draws], axis=0
                )
                keys = {"searched": dataset.name, "unit": unit, "where": where, "null": null}
                tables.append(_rows(inputs.passages.ids, counts, keys))
        if each.parts is not None:
            tables += _count_parts(inputs.passages, units, dataset.name, each.parts, longest)
    return pa.concat_tables(tables)


def _count_parts(
    passages: Passages, units: Mapping[str, Phrases], searched: str, parts: Parts, longest: int
) -> Iterator[pa.Table]:
    """The counts of each part of a dataset."""
    lengths = match_lengths_by_part([word.text for word in passages.words], passages.remaining, parts, longest)
    for unit, phrases in units.items():
        for (null, draw), of_part in zip(parts.names, lengths, strict=True):
            counts = tally(phrases, is_found(phrases, of_part), len(passages.ids))
            keys = {"searched": searched, "unit": unit, "where": "all", "null": null}
            yield _rows(passages.ids, counts, keys, draw)


def truncate_to_size(unrelated: IndexedDataset, dataset: IndexedDataset) -> IndexedDataset:
    """The first instances of the unrelated dataset, with about as many words as the dataset. Warns if it has fewer in all."""
    if unrelated.words < ENOUGH * dataset.words:
        logger.warning(
            "%s has %s words, %s has %s: its rates will be too low because it is smaller",
            *(unrelated.name, f"{unrelated.words:,}", dataset.name, f"{dataset.words:,}"),
        )
    return replace(unrelated, limit=limit_for_words(unrelated.index.sizes[: unrelated.limit], dataset.words))


def _match_lengths(
    inputs: BorrowingInputs,
    dataset: IndexedDataset,
    unrelated: IndexedDataset | None,
    neighbors: int,
    longest: int,
    seed: int,
) -> dict[tuple[str, str], list[np.ndarray]]:
    """Match lengths of each word (of `base` for base_answer), by place and null: one array, or one per permutation."""
    passages, base = inputs.passages, inputs.base
    similar = dataset.most_similar(inputs.instructions, neighbors)
    permuted = derangements(len(similar), seed)
    lengths = {
        ("all", "observed"): [_in_all(passages, dataset, longest)],
        ("similar", "observed"): [_in_similar(passages, dataset, similar, longest)],
        ("similar", "permuted"): [_in_similar(passages, dataset, similar[other], longest) for other in permuted],
    }
    if unrelated is not None:
        similar_unrelated = unrelated.most_similar(inputs.instructions, neighbors)
        lengths["all", "unrelated"] = [_in_all(passages, unrelated, longest)]
        lengths["similar", "unrelated"] = [_in_similar(passages, unrelated, similar_unrelated, longest)]
    if base is not None:
        lengths["all", "base_answer"] = [_in_all(base, dataset, LONGEST)]
        lengths["similar", "base_answer"] = [_in_similar(base, dataset, similar, LONGEST)]
    return lengths


def _in_all(passages: Passages, dataset: IndexedDataset, longest: int) -> np.ndarray:
    return match_lengths([word.text for word in passages.words], passages.remaining, dataset.occurs, longest)


def _in_similar(passages: Passages, dataset: IndexedDataset, similar: np.ndarray, longest: int) -> np.ndarray:
    """Match lengths in the instances similar[i] alone, for the words of response i."""
    lengths = [np.zeros(0, dtype=np.int64)]
    for text, rows in enumerate(tqdm(similar, desc=f"similar in {dataset.name}", unit="response", disable=None)):
        remaining = passages.remaining[passages.first[text] : passages.first[text + 1]]
        lengths.append(match_lengths(passages.text_words(text), remaining, dataset.occurs_in(rows), longest))
    return np.concatenate(lengths)


def _rows(ids: list[str], counts: np.ndarray, keys: dict[str, str], draw: int = 0) -> pa.Table:
    """Rows of counts [2, responses, n-gram lengths]; observed counts have a row even if nothing was looked up."""
    ngrams = range(counts.shape[2]) if keys["unit"].startswith("span:") else NGRAMS
    found, looked_up = counts[:, :, ngrams.start :].reshape(2, -1)
    table = pa.table(
        {
            "id": pa.array(np.repeat(np.array(ids, dtype=object), len(ngrams)), pa.string()),
            **{name: pa.repeat(value, len(found)) for name, value in keys.items()},
            "draw": pa.repeat(draw, len(found)),
            "ngram": np.tile(ngrams, len(ids)),
            "found": found,
            "phrases": looked_up,
        }
    ).select(schemas.BORROWING.names)
    kept = table if keys["null"] == "observed" else table.filter(pa.array(looked_up > 0))
    return kept.cast(schemas.BORROWING)
