"""BM25 over words (bm25s, Lucene's variant, k1 1.5, b 0.75), without case, stop words or stemming."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from bm25s import BM25
from bm25s.tokenization import Tokenized

from closerlook.core.files import replacing
from closerlook.trace.load_errors import index_errors


class Ranker:
    """Ranks documents by the words of a query, with the scores that `build` wrote to `folder`, memory-mapped.

    Raises CloserlookError if a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        with index_errors(folder, "build_index"):
            self._bm25 = BM25.load(str(folder), mmap=True)

    @classmethod
    def build(cls, documents: Iterable[Iterable[str]], folder: Path) -> "Ranker":
        """Index documents, each an iterable of words. Also saves their numbers of words (int32) as sizes.npy."""
        words, ends, vocabulary = array("i"), array("q", [0]), dict[str, int]()
        for document in documents:
            words.extend([vocabulary.setdefault(word, len(vocabulary)) for word in document])
            ends.append(len(words))
        bm25 = BM25(csc_backend="scipy")  # sorts in a quarter of the memory of bm25s's own backend
        with np.errstate(invalid="ignore"):  # if no document has a word, the mean length is 0 / 0
            bm25.index(Tokenized(_Documents(words, ends), vocabulary), create_empty_token=False, show_progress=False)
        with replacing(folder) as temporary:
            bm25.save(str(temporary), show_progress=False)
            np.save(temporary / "sizes.npy", np.diff(ends).astype(np.int32))
        return cls(folder)

    def search(self, words: Sequence[str], top: int) -> tuple[np.ndarray, np.ndarray]:
        """The `top` documents (int32) with the highest scores (float32) for a query's words, best first; ties by number."""
        known = self._bm25.get_tokens_ids(list(words))
        documents = self._bm25.scores["num_docs"]
        scores = self._bm25.get_scores_from_ids(known) if known else np.zeros(documents, np.float32)
        rows = np.flatnonzero(scores >= np.partition(scores, -top)[-top])
        rows = rows[np.argsort(-scores[rows], kind="stable")][:top].astype(np.int32)
        return rows, scores[rows]


class _Documents:
    """The word numbers of each document as bm25s iterates over them, at 4 bytes per word instead of 36."""

    def __init__(self, words: array, ends: array) -> None:
        self._words, self._ends = words, ends

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[list[int]]:
        for start, end in zip(self._ends, self._ends[1:], strict=False):
            yield self._words[start:end].tolist()
