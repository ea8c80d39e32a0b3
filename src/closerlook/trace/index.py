"""The lexical index of an instruction-tuning dataset: exact search, whole-word search, and BM25.

It is built once per dataset, one part after the other to save memory, and shared by all cells of the dataset.
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
from closerlook.text.words import join_words, words_of
from closerlook.trace.exact import SuffixArray
from closerlook.trace.load_errors import index_errors

if TYPE_CHECKING:
    from closerlook.trace.bm25 import Ranker

SCHEMA = pa.schema([INSTANCES.field(name) for name in ("id", "instruction", "response")])
BATCH = 1000
"""Rows that are in memory as Python objects at a time."""


class Index:
    """The searchable dataset that `build` wrote to `folder`, memory-mapped. Rows are 0-based.

    An instance contains a phrase if its instruction or its response does. Raises CloserlookError if a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder = Path(folder)
        with index_errors(folder, "build_index"):
            self._table = pa.ipc.open_file(pa.memory_map(str(folder / "instances.arrow"))).read_all()
            self.sizes: np.ndarray = np.load(folder / "bm25" / "sizes.npy", mmap_mode="r")
            """Words per instance, instruction and response together: int32."""
        self.exact = SuffixArray(folder / "exact")
        """Search in the original texts."""
        self.words = SuffixArray(folder / "words")
        """Search in the texts as joined words: join_words(words) is found as whole words, case ignored."""
        with index_errors(folder, "build_index"):
            if len({self._table.num_rows, len(self.sizes), self.exact.size, self.words.size}) > 1:
                raise ValueError("its files do not belong together")

    @classmethod
    def build(cls, instances: pa.Table, folder: Path) -> "Index":
        """Index at least one instance (columns id, instruction, response) into `folder`; after an error the folder is as before.

        Takes up to 9 bytes of memory per byte of text, including the table.
        """
        from closerlook.trace.bm25 import Ranker

        table = instances.select(SCHEMA.names)
        pa.default_memory_pool().release_unused()  # the memory that reading the table needed
        with replacing(folder) as temporary:
            temporary.mkdir()
            with pa.ipc.new_file(str(temporary / "instances.arrow"), table.schema) as file:
                file.write_table(table, max_chunksize=BATCH)
            SuffixArray.build(_pairs(table, "exact"), temporary / "exact")
            SuffixArray.build((map(join_words, pair) for pair in _words(table, "words")), temporary / "words")
            Ranker.build((chain(*pair) for pair in _words(table, "BM25")), temporary / "bm25")
        return cls(folder)

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the instances, in the dataset's order."""
        return self._table["id"].to_pylist()

    @cached_property
    def instructions(self) -> list[str]:
        """Instructions of the instances, in the dataset's order."""
        return self._table["instruction"].to_pylist()

    @cached_property
    def responses(self) -> list[str]:
        """Responses of the instances, in the dataset's order."""
        return self._table["response"].to_pylist()

    def bm25(self, queries: Sequence[str], top: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows with the highest BM25 scores for each query, and the scores: int32 and float32 [queries, min(top, instances)].

        Best first, ties in the dataset's order. Instances that share no word with the query have score 0.
        """
        shape = len(queries), min(top, len(self.sizes))
        rows, scores = np.empty(shape, np.int32), np.empty(shape, np.float32)
        for number, query in enumerate(queries):
            rows[number], scores[number] = self._ranker.search([word.text for word in words_of(query)], shape[1])
        return rows, scores

    @cached_property
    def _ranker(self) -> "Ranker":
        from closerlook.trace.bm25 import Ranker  # slow to import, and exact search does not need it

        return Ranker(self._folder / "bm25")


def read_instances(path: Path) -> pa.Table:
    """Columns id, instruction and response of a dataset: parquet as the data stage writes it, or JSON Lines with these keys.

    An integer id is converted to text. Raises CloserlookError with file, row and key for any other value that is not text.
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
    """Instruction and response of each row, with a progress bar on stderr."""
    with tqdm(total=table.num_rows, desc=f"index ({title})", unit=" instances") as bar:
        for batch in table.to_batches(BATCH):
            yield from zip(batch["instruction"].to_pylist(), batch["response"].to_pylist(), strict=True)
            bar.update(batch.num_rows)


def _words(table: pa.Table, title: str) -> Iterator[list[list[str]]]:
    """The words of the instruction and of the response of each row."""
    for pair in _pairs(table, title):
        yield [[word.text for word in words_of(text)] for text in pair]
