"""Chance level of borrowing: the same phrases in instances of the same dataset that were not tuned on.

A subset is a random one, so its instances and the rest differ by chance alone: a model that learned the dataset's
distribution, and nothing of single instances, finds its phrases as often in one as in the other. Both are cut into parts of
equally many instances. The parts are disjoint: overlapping ones would be more alike than two draws of the dataset are.

The rates are those of parts as large as the smaller side. Of few parts, no p is small, since it is a rank among them: so both
sides are also cut into smaller parts, which are tested.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from closerlook.core.errors import CloserlookError
from closerlook.text.words import join_words
from closerlook.trace.index import Index
from closerlook.trace.matching_statistics import look_up

PARTS = 20
"""Most parts of the larger side."""
SMALL, SMALL_PARTS = 5, 25
"""Parts that the smaller side is cut into for the test, and most parts of the larger side for it."""


@dataclass(frozen=True)
class Parts:
    """A dataset's instances in random parts that were tuned on or not: a coarse cut for the rates, a fine one for their test.

    counts: number of parts by their name in BORROWING: tuned_on, held_out, and of the fine cut tuned_on_small, held_out_small.
    Parts of one cut are disjoint. bits: uint64 [instances], bit i for an instance of part i, in the order of `counts`.
    """

    index: Index
    bits: np.ndarray
    counts: Mapping[str, int]

    @classmethod
    def cut(cls, index: Index, subset: Sequence[str], least: int, most: int, seed: int) -> "Parts | None":
        """Cut a dataset into what all cells saw that were tuned on a subset of it, and what none saw. None if one side is empty.

        subset: ids of its instances, in its order. least, most: how many of the last of them every cell held out, and some cell
        did. In the coarse cut the smaller side is one part, and the larger one gives up to PARTS of the same number of instances,
        drawn at random. In the fine cut these are SMALL and up to SMALL_PARTS.
        """
        row_of = {id_: row for row, id_ in enumerate(index.ids)}
        if foreign := [id_ for id_ in subset if id_ not in row_of]:
            raise CloserlookError(
                f"the index of the whole dataset has no instance {foreign[0]} of the subset; build it again"
            )
        rows = np.array([row_of[id_] for id_ in subset], dtype=np.int64)
        tuned, trained_on = np.sort(rows[: max(0, len(rows) - most)]), rows[: max(0, len(rows) - least)]
        sides = {"tuned_on": tuned, "held_out": np.setdiff1d(np.arange(len(index.sizes)), trained_on)}
        size = min(map(len, sides.values()))
        if size == 0:
            return None
        generator = np.random.default_rng([seed, len(tuned), len(index.sizes) - len(sides["held_out"])])
        bits = np.zeros(len(index.sizes), dtype=np.uint64)
        counts: dict[str, int] = {}
        for suffix, of_part, most_parts in (("", size, PARTS), ("_small", max(1, size // SMALL), SMALL_PARTS)):
            for name, side in sides.items():
                small_side = len(side) == size
                count = min(len(side) // of_part, SMALL if suffix and small_side else most_parts)
                drawn = generator.permutation(side)[: count * of_part].reshape(count, of_part)
                for part, members in enumerate(drawn, sum(counts.values())):
                    bits[members] |= np.uint64(1 << part)
                counts[name + suffix] = count
        return cls(index, bits, counts)

    @property
    def names(self) -> list[tuple[str, int]]:
        """Name and number of each part, in the order of its bits."""
        return [(name, number) for name, count in self.counts.items() for number in range(count)]

    def containing(self, phrases: Sequence[str]) -> np.ndarray:
        """uint64 [phrases]: bit i if part i has an instance that contains the phrase (joined words)."""
        return np.array(
            [np.bitwise_or.reduce(self.bits[self.index.words.documents(phrase)]) for phrase in phrases], dtype=np.uint64
        )


def match_lengths_by_part(words: Sequence[str], remaining: np.ndarray, parts: Parts, limit: int) -> np.ndarray:
    """`match_lengths` in each part: [parts, words] int32.

    Runs grow by one word at a time, as long as some part contains them: each part's own longest run must be found, and most runs
    are short.
    """
    lengths = np.zeros((len(parts.names), len(words)), dtype=np.int32)
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
