"""The lexical index of an instruction-tuning set: its instances looked up exactly, as whole words, and by BM25.

Built once per dataset, one part after the other so that they never share the memory, and read by all its cells at once.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from closerlook.core.errors import CloserlookError
from closerlook.core.files import replacing
from closerlook.core.schemas import INSTANCES
from closerlook.text.words import rendered, words_of
from closerlook.trace.exact import Exact
from closerlook.trace.load_errors import reading

if TYPE_CHECKING:
    from closerlook.trace.bm25 import Ranker

SCHEMA = pa.schema([INSTANCES.field(name) for name in ("id", "instruction", "response")])
BATCH = 1000
"""Rows in memory as Python objects at a time."""


class Index:
    """A dataset, searched. An instance is found where its instruction or its response holds the phrase; rows are 0-based."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder = Path(folder)
        with reading(folder, "build_index"):
            self._table = pa.ipc.open_file(pa.memory_map(str(folder / "instances.arrow"))).read_all()
            self.sizes: np.ndarray = np.load(folder / "bm25" / "sizes.npy", mmap_mode="r")
            """Words per instance, instruction and response together: int32."""
        self.exact = Exact.open(folder / "exact")
        """The texts as they stand."""
        self.words = Exact.open(folder / "words")
        """The texts as `rendered` words: a phrase given as rendered(words) is found as whole words, case ignored."""
        with reading(folder, "build_index"):
            if len({self._table.num_rows, len(self.sizes), self.exact.size, self.words.size}) > 1:
                raise ValueError("its files do not belong together")

    @classmethod
    def build(cls, instances: pa.Table, folder: Path) -> "Index":
        """Index instances (columns id, instruction, response), at least one, into `folder`: whole afterwards or as it was before.

        Takes up to 9 bytes of memory per byte of text, the table itself included.
        """
        from closerlook.trace.bm25 import Ranker

        table = instances.select(SCHEMA.names)
        pa.default_memory_pool().release_unused()  # what was needed to read the table
        with replacing(folder) as temporary:
            temporary.mkdir()
            with pa.ipc.new_file(str(temporary / "instances.arrow"), table.schema) as file:
                file.write_table(table, max_chunksize=BATCH)
            Exact.build(_pairs(table, "exact"), temporary / "exact")
            Exact.build((map(rendered, pair) for pair in _words(table, "words")), temporary / "words")
            Ranker.build((chain(*pair) for pair in _words(table, "BM25")), temporary / "bm25")
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> "Index":
        """Map what `build` wrote. Raises CloserlookError where a file of it is missing or damaged."""
        return cls(folder)

    @cached_property
    def ids(self) -> list[str]:
        """Of the instances, in the dataset's order."""
        return self._table["id"].to_pylist()

    @cached_property
    def instructions(self) -> list[str]:
        """Likewise."""
        return self._table["instruction"].to_pylist()

    @cached_property
    def responses(self) -> list[str]:
        """Likewise."""
        return self._table["response"].to_pylist()

    def bm25(self, queries: Sequence[str], top: int) -> tuple[np.ndarray, np.ndarray]:
        """The instances that BM25 finds best for each query, and their scores: int32 and float32 [queries, min(top, instances)].

        Best first, equal ones in the dataset's order. Instances that share no word with the query have score 0.
        """
        shape = len(queries), min(top, len(self.sizes))
        rows, scores = np.empty(shape, np.int32), np.empty(shape, np.float32)
        for number, query in enumerate(queries):
            rows[number], scores[number] = self._ranker.best([word.text for word in words_of(query)], shape[1])
        return rows, scores

    @cached_property
    def _ranker(self) -> "Ranker":
        from closerlook.trace.bm25 import Ranker  # takes a while to import, which exact search does not need

        return Ranker.open(self._folder / "bm25")


def read_instances(path: Path) -> pa.Table:
    """Columns id, instruction and response of a dataset: parquet as the data stage writes it, or JSON Lines with these keys.

    An id that is a whole number becomes text. Raises CloserlookError with file, row and key for anything else that is no text.
    """
    from closerlook.config.settings import FileSource
    from closerlook.data.formats import MalformedError, text_field
    from closerlook.data.sources import read_rows

    def instance(row: int, record: Any) -> dict[str, str]:
        try:
            if not isinstance(record, dict):
                raise MalformedError("not an object" if record is not None else "does not parse")
            if type(record.get("id")) is int:
                record = record | {"id": str(record["id"])}
            return {name: text_field(record, name) for name in SCHEMA.names}
        except MalformedError as error:
            raise CloserlookError(f"{path}, row {row} (counted from 0): {error}") from None

    rows = read_rows(FileSource(file=str(path)))
    batches = []
    while batch := [instance(row, record) for row, record in islice(rows, BATCH)]:
        batches.append(pa.RecordBatch.from_pylist(batch, SCHEMA))
    if not batches:
        raise CloserlookError(f"{path}: found no instances, expected at least one")
    return pa.Table.from_batches(batches)


def _pairs(table: pa.Table, title: str) -> Iterator[tuple[str, str]]:
    """Instruction and response of each row, with a bar on stderr."""
    with tqdm(total=table.num_rows, desc=f"index ({title})", unit=" instances") as bar:
        for batch in table.to_batches(BATCH):
            yield from zip(batch["instruction"].to_pylist(), batch["response"].to_pylist(), strict=True)
            bar.update(batch.num_rows)


def _words(table: pa.Table, title: str) -> Iterator[list[list[str]]]:
    """Their words."""
    for pair in _pairs(table, title):
        yield [[word.text for word in words_of(text)] for text in pair]
