"""The instruction-tuning instances that spans and words lead to: their texts, and no others, go into the page."""

from collections.abc import Iterator

from closerlook.core import layout
from closerlook.core.schemas import INSTANCES
from closerlook.report.page.reading import Folder

SHARD = 100
"""Instances per data file: those of one response follow each other, in the order in which they are first named."""


class Instances:
    """The instances of one dataset that the page names. Subsets hold the same texts, so they share them."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.subsets: set[str] = set()
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, id_: str) -> int:
        """The place of an instance, 0-based, in the order they are asked for."""
        return self._numbers.setdefault(id_, len(self._numbers))

    def shards(self, folder: Folder) -> Iterator[list[list[str | None]]]:
        """[id, instruction, response] of each, SHARD at a time; without a text where no file of the dataset has it."""
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
