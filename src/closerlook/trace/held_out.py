"""Chance level of borrowing: the same phrases in instances of the same dataset that were not tuned on.

A subset is a random one, so its instances and the rest differ by chance alone: a model that learned the dataset's
distribution, and nothing of single instances, finds its phrases as often in one as in the other. Both are cut into parts of
equally many instances. The parts are disjoint: overlapping ones would be more alike than two draws of the dataset are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from closerlook.core.errors import CloserlookError
from closerlook.text.words import join_words
from closerlook.trace.index import Index
from closerlook.trace.matching_statistics import look_up

PARTS = 20
"""Most parts of the larger side."""


@dataclass(frozen=True)
class Parts:
    """A dataset's instances in disjoint random parts: `tuned` parts that were tuned on, then `held_out` parts that were not.

    bits: uint32 [instances], bit i for an instance of part i; 0 for one in no part.
    """

    index: Index
    bits: np.ndarray
    tuned: int
    held_out: int

    @classmethod
    def cut(cls, index: Index, subset: Sequence[str], least: int, most: int, seed: int) -> "Parts | None":
        """Cut a dataset into what all cells saw that were tuned on a subset of it, and what none saw. None if one side is empty.

        subset: ids of its instances, in its order. least, most: how many of the last of them every cell held out, and some cell
        did. The smaller side is one part. The larger one gives up to PARTS of the same number of instances, drawn at random.
        """
        row_of = {id_: row for row, id_ in enumerate(index.ids)}
        if foreign := [id_ for id_ in subset if id_ not in row_of]:
            raise CloserlookError(
                f"the index of the whole dataset has no instance {foreign[0]} of the subset; build it again"
            )
        rows = np.array([row_of[id_] for id_ in subset], dtype=np.int64)
        tuned, trained_on = np.sort(rows[: max(0, len(rows) - most)]), rows[: max(0, len(rows) - least)]
        sides = [tuned, np.setdiff1d(np.arange(len(index.sizes)), trained_on)]
        size = min(map(len, sides))
        if size == 0:
            return None
        generator = np.random.default_rng([seed, len(tuned), len(index.sizes) - len(sides[1])])
        bits = np.zeros(len(index.sizes), dtype=np.uint32)
        counts = [min(PARTS, len(side) // size) for side in sides]
        drawn = [
            generator.permutation(side)[: n * size].reshape(n, size) for side, n in zip(sides, counts, strict=True)
        ]
        for part, rows in enumerate(np.concatenate(drawn)):
            bits[rows] = 1 << part
        return cls(index, bits, *counts)

    def containing(self, phrases: Sequence[str]) -> np.ndarray:
        """uint32 [phrases]: bit i if part i has an instance that contains the phrase (joined words)."""
        return np.array(
            [np.bitwise_or.reduce(self.bits[self.index.words.documents(phrase)]) for phrase in phrases], dtype=np.uint32
        )


def match_lengths_by_part(words: Sequence[str], remaining: np.ndarray, parts: Parts, limit: int) -> np.ndarray:
    """`match_lengths` in each part: [parts, words] int64.

    Runs grow by one word at a time, as long as some part contains them: each part's own longest run must be found, and most runs
    are short.
    """
    lengths = np.zeros((parts.tuned + parts.held_out, len(words)), dtype=np.int64)
    growing = np.arange(len(words))
    for n in range(1, limit + 1):
        growing = growing[remaining[growing] >= n]
        found = look_up(parts.containing, [join_words(words[i : i + n]) for i in growing.tolist()])
        for part in range(len(lengths)):
            lengths[part, growing[found >> part & 1 == 1]] = n
        growing = growing[found > 0]
        if not len(growing):
            break
    return lengths
