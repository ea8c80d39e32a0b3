"""A dataset with its index and embeddings: the instances most similar to an instruction, and whether phrases occur in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from closerlook.core.errors import CloserlookError
from closerlook.text.words import join_words, words_of
from closerlook.trace.embeddings import Embeddings
from closerlook.trace.index import Index
from closerlook.trace.matching_statistics import Occurs


@dataclass(frozen=True)
class IndexedDataset:
    """A dataset that can be searched: its index, its embeddings or None, and the number of its first instances that count.

    Without embeddings, similarity is measured by BM25. The embeddings may be those of a larger dataset that begins with the
    instances of this one.
    """

    name: str
    index: Index
    embeddings: Embeddings | None
    limit: int

    @classmethod
    def open(cls, name: str, index: Path, embeddings: Path | None = None) -> "IndexedDataset":
        """All instances of the index. Raises CloserlookError if there are fewer embeddings than instances."""
        opened, vectors = Index(index), Embeddings(embeddings) if embeddings else None
        if vectors is not None and len(vectors.vectors) < len(opened.sizes):
            found = f"{len(vectors.vectors)} embeddings, but {index} has {len(opened.sizes)} instances"
            raise CloserlookError(f"{embeddings}: found {found}; they are of another dataset")
        return cls(name, opened, vectors, len(opened.sizes))

    @property
    def words(self) -> int:
        """Number of words of the instances that count."""
        return int(self.index.sizes[: self.limit].sum(dtype=np.int64))

    def occurs(self, phrases: Sequence[str]) -> np.ndarray:
        """Whether each phrase (joined words) occurs in any instance that counts: bool."""
        return self.index.words.occurs(phrases, None if self.limit == len(self.index.sizes) else self.limit)

    def most_similar(self, queries: Sequence[str], top: int) -> np.ndarray:
        """Rows of the instances most similar to each text, best first: [queries, min(top, limit)] int32."""
        top = min(top, self.limit)
        if not (queries and top):
            return np.zeros((len(queries), top), dtype=np.int32)
        if self.embeddings is not None:
            return self.embeddings.nearest(self.embeddings.encode(queries), top, self.limit)[0]
        if self.limit == len(self.index.sizes):
            return self.index.bm25(queries, top)[0]
        rankings = (self.index.bm25([query], len(self.index.sizes))[0][0] for query in queries)
        return np.stack([rows[rows < self.limit][:top] for rows in rankings])

    def occurs_in(self, rows: Sequence[int]) -> Occurs:
        """A function like `occurs`, restricted to the given rows."""
        text = "\n".join(self._rendered(int(row)) for row in rows)
        return lambda phrases: np.array([phrase in text for phrase in phrases], dtype=bool)

    @cached_property
    def _rendered(self) -> Callable[[int], str]:
        """Returns the joined words of an instance, in which phrases can be looked up; caches the latest instances."""
        return lru_cache(maxsize=1 << 16)(
            lambda row: "\n".join(
                join_words(word.text for word in words_of(text))
                for text in (self.index.instructions[row], self.index.responses[row])
            )
        )
