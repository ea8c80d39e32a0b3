"""Exact search for any string in many documents: a suffix array over their UTF-8 bytes, saved once and memory-mapped.

The occurrences of a phrase are an interval of the suffix array, found by two binary searches. Finding their documents takes
longer for a frequent phrase, so the array is cut into blocks, and a bitmap per block holds the documents that occur in it.
"""

import ctypes
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from pydivsufsort import divsufsort
from pydivsufsort.dll import libdivsufsort, libdivsufsort64

from closerlook.core.files import replacing
from closerlook.trace.load_errors import index_errors

TERMINATOR = b"\xff"
"""Ends every text. UTF-8 never contains this byte, so no match crosses the end of a text; texts may contain NUL and newlines."""
PAGE = 32
"""Bytes of text per entry of `pages`."""
FEW = 512
"""With fewer occurrences than this, their documents are collected in a set instead of one flag per document."""
ARRAYS = ("suffixes", "starts", "pages", "bitmaps")
"""suffixes: int32 [n], int64 above 2 GiB. starts: int64 [documents + 1], the first byte of each document in the text, then n.
pages: int32, the document of each PAGE of the text; ~document (below 0) of its first byte if the page covers several.
bitmaps: uint8 [blocks, documents / 8]; bit d of a block is set if one of its suffixes starts in document d."""


class SuffixArray:
    """Finds the documents that contain a phrase, in the files that `build` wrote to `folder`. They are mapped, not loaded.

    A document is one or more texts and contains a phrase if one of them does. Code points are compared: case matters, and so does
    whether an accented letter is one code point or two. Raises CloserlookError if a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        with index_errors(folder, "build_index"):
            self._text = np.asarray(np.memmap(folder / "text", np.uint8, "r"))
            arrays = [np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in ARRAYS]
            self._suffixes, self._starts, self._pages, self._bitmaps = arrays
            self.size = len(self._starts) - 1
            self._block = block_size(self.size)
            if self._starts[-1] != len(self._text) or len(self._suffixes) != len(self._text):
                raise ValueError("its files do not belong together")
        wide = self._suffixes.dtype == np.int64
        self._integer = ctypes.c_int64 if wide else ctypes.c_int32
        # Called directly: pydivsufsort.sa_search wraps both arrays again for each phrase, which takes four times as long.
        self._search = libdivsufsort64["sa_search64"] if wide else libdivsufsort["sa_search"]
        self._search.restype = self._integer

    @classmethod
    def build(cls, documents: Iterable[Iterable[str]], folder: Path) -> "SuffixArray":
        """Index documents into `folder`; after an error the folder is as before.

        Takes 5 bytes of memory per byte of text, 9 above 2 GiB of text. Raises ValueError if there are no documents, and
        UnicodeEncodeError for a lone surrogate, which UTF-8 cannot encode.
        """
        with replacing(folder) as temporary:
            temporary.mkdir()
            starts = _write_text(documents, temporary / "text")
            suffixes = divsufsort(np.fromfile(temporary / "text", np.uint8))
            pages = documents_by_page(starts)
            bitmaps = _bitmaps(suffixes, starts, pages)
            for name, part in zip(ARRAYS, (suffixes, starts, pages, bitmaps), strict=True):
                np.save(temporary / f"{name}.npy", part)
        return cls(folder)

    def documents(self, phrase: str, limit: int | None = None) -> np.ndarray:
        """The documents that contain `phrase`: 0-based, int32, ascending, distinct. limit: search only the first documents.

        The empty phrase and a lone surrogate occur in no document.
        """
        first, last = self._interval(phrase)
        if last - first < FEW:
            documents = np.array(sorted(set(self._documents_at(first, last).tolist())), np.int32)
        else:
            documents = np.flatnonzero(self._flags(first, last)).astype(np.int32)
        return documents if limit is None else documents[: np.searchsorted(documents, limit)]

    def counts(self, phrases: Sequence[str], limit: int | None = None) -> np.ndarray:
        """Number of documents (among the first `limit`) that contain each phrase: int64."""
        return np.array([len(self.documents(phrase, limit)) for phrase in phrases], np.int64)

    def occurs(self, phrases: Sequence[str], limit: int | None = None) -> np.ndarray:
        """Whether any document (among the first `limit`) contains each phrase: bool."""
        if limit is not None:
            return self.counts(phrases, limit) > 0
        return np.array([first < last for first, last in map(self._interval, phrases)], bool)

    def _interval(self, phrase: str) -> tuple[int, int]:
        """The suffixes [first, last) that start with `phrase`."""
        pattern = phrase.encode(errors="surrogatepass")  # a lone surrogate becomes bytes that no text contains
        if not pattern:
            return 0, 0
        number, left = self._integer, self._integer()
        text, suffixes = ctypes.c_void_p(self._text.ctypes.data), ctypes.c_void_p(self._suffixes.ctypes.data)
        size = number(len(self._text))
        count = self._search(text, size, pattern, number(len(pattern)), suffixes, size, ctypes.byref(left))
        return left.value, left.value + count

    def _flags(self, first: int, last: int) -> np.ndarray:
        """Whether one of these suffixes starts in each document: by bitmap for whole blocks, one by one for the rest."""
        head, tail = -(-first // self._block), last // self._block
        ends = [(first, last)] if head >= tail else [(first, head * self._block), (tail * self._block, last)]
        whole = np.bitwise_or.reduce(self._bitmaps[head:tail])  # all zeros if there is no whole block
        flags = np.unpackbits(whole, count=self.size, bitorder="little").view(bool)
        for end in ends:
            flags[self._documents_at(*end)] = True
        return flags

    def _documents_at(self, first: int, last: int) -> np.ndarray:
        return documents_at(self._suffixes[first:last], self._starts, self._pages)


def block_size(documents: int) -> int:
    """Suffixes per block: few enough to look up one by one, enough that all bitmaps together are no larger than the text."""
    return max(4096, documents // 8)


def documents_by_page(starts: np.ndarray) -> np.ndarray:
    """The array `pages` for documents that start at `starts`, whose last entry is the end of the text."""
    pages = (np.searchsorted(starts, np.arange(0, starts[-1], PAGE), side="right") - 1).astype(np.int32)
    shared = starts[:-1][starts[:-1] % PAGE > 0] // PAGE
    pages[shared] = ~pages[shared]
    return pages


def documents_at(offsets: np.ndarray, starts: np.ndarray, pages: np.ndarray) -> np.ndarray:
    """The document (int32) at each offset in the text."""
    documents = pages.take(offsets // PAGE)
    shared = np.flatnonzero(documents < 0)
    documents[shared] = ~documents[shared]
    while len(shared := shared[starts[documents[shared] + 1] <= offsets[shared]]):
        documents[shared] += 1
    return documents


def _write_text(documents: Iterable[Iterable[str]], path: Path) -> np.ndarray:
    """Write all texts, each with its TERMINATOR, and return `starts`."""
    starts = array("q", [0])
    with path.open("wb") as file:
        for document in documents:
            starts.append(starts[-1] + file.write(b"".join(text.encode() + TERMINATOR for text in document)))
    if len(starts) == 1:
        raise ValueError("no documents to index")
    return np.array(starts)


def _bitmaps(suffixes: np.ndarray, starts: np.ndarray, pages: np.ndarray) -> np.ndarray:
    documents = len(starts) - 1
    block = block_size(documents)
    bitmaps = np.empty((len(suffixes) // block, -(-documents // 8)), np.uint8)
    for number in range(len(bitmaps)):
        flags = np.zeros(documents, bool)
        flags[documents_at(suffixes[number * block : (number + 1) * block], starts, pages)] = True
        bitmaps[number] = np.packbits(flags, bitorder="little")
    return bitmaps
