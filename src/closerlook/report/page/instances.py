"""The instruction-tuning instances that spans and words refer to. Only their texts go into the page."""

from collections.abc import Iterator

from closerlook.core import layout
from closerlook.core.schemas import INSTANCES
from closerlook.report.page.reading import Folder

SHARD = 100
"""Instances per data file. They are in the order of first reference, so those of one response are next to each other."""


class Instances:
    """The instances of one dataset that the page refers to. Its subsets share them, because they have the same texts."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.subsets: set[str] = set()
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, id_: str) -> int:
        """The number of an instance, from 0, in the order of first reference."""
        return self._numbers.setdefault(id_, len(self._numbers))

    def shards(self, folder: Folder) -> Iterator[list[list[str | None]]]:
        """[id, instruction, response] of each, SHARD at a time; the texts are None if no file of the dataset has them."""
        texts: dict[str, list[str]] = {}
        for name in [self.dataset, *sorted(self.subsets)]:
            if len(texts) == len(self._numbers):
                break
            table = folder.parquet(layout.dataset(name), INSTANCES)
            if table is not None:
                columns = (table[column].to_pylist() for column in ("id", "instruction", "response"))
                for id_, *text in zip(*columns, strict=True):
                    if id_ in self._numbers:
                        texts.setdefault(id_, text)
        rows = [[id_, *texts.get(id_, [None, None])] for id_ in self._numbers]
        yield from (rows[first : first + SHARD] for first in range(0, len(rows), SHARD))
