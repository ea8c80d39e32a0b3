"""Small datasets to search, with or without embeddings that need no model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from closerlook.core.schemas import INSTANCES
from closerlook.text.words import join_words, words_of
from closerlook.trace.index import Index
from closerlook.trace.indexed_dataset import IndexedDataset
from closerlook.trace.matching_statistics import Occurs

WORDS = "a b c dd ee"
DATA = [("a b", "c dd ee a"), ("dd", "b c dd"), ("ee ee", "a a b c"), ("", "A-B c")]
HOSTILE = ["", "a", "🙂", "🙂 a 🙂 b", "שלום a b עולם", "a\x00b c", ".* a [b] c", "é a b", "\u202ea b", "ß STRASSE"]
TEXTS = st.lists(st.sampled_from(WORDS.split()), max_size=9).map(" ".join)


class FakeEmbeddings:
    """Bags of letters as vectors: deterministic, and alike for like texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.vectors = self.encode(texts)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        counts = np.array([[text.lower().count(chr(97 + i)) for i in range(26)] for text in texts], dtype=np.float32)
        counts = counts.reshape(-1, 26) + 0.01
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    def nearest(self, vectors: np.ndarray, top: int, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        cosines = vectors @ self.vectors[:limit].T
        rows = np.argsort(-cosines, axis=1, kind="stable")[:, :top]
        return rows.astype(np.int32), np.take_along_axis(cosines, rows, axis=1)


def instances(pairs: Sequence[tuple[str, str]]) -> pa.Table:
    rows = [
        {"id": f"{i:016x}", "instruction": a, "response": b, "source": "test", "row": i}
        for i, (a, b) in enumerate(pairs)
    ]
    return pa.Table.from_pylist(rows, schema=INSTANCES)


def searched(pairs: Sequence[tuple[str, str]], folder: Path, name: str = "data", embed: bool = False) -> IndexedDataset:
    index = Index.build(instances(pairs), folder / name)
    embeddings = FakeEmbeddings([f"{a}\n{b}" for a, b in pairs]) if embed else None
    return IndexedDataset(name, index, embeddings, len(pairs))  # type: ignore[arg-type]


def stands(phrase: list[str], pairs: list[tuple[str, str]]) -> bool:
    """Whether words stand side by side in some text, by looking at every place."""
    lists = [[word.text for word in words_of(text)] for pair in pairs for text in pair]
    return any(some[i : i + len(phrase)] == phrase for some in lists for i in range(len(some)))


def occurs(pairs: list[tuple[str, str]]) -> Occurs:
    text = "\n".join(join_words(word.text for word in words_of(text)) for pair in pairs for text in pair)
    return lambda phrases: np.array([phrase in text for phrase in phrases])
